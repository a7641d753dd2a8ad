/** Mistakes that no single setting shows: two settings that contradict each other, or a name that leads nowhere. */
import { backendName } from './backend-name.ts';
import type { Path } from './read-yaml.ts';
import type { ConfigFile } from './schema/config-file.ts';

export interface Finding {
  readonly path: Path;
  readonly message: string;
  /** Point at the setting's name instead of its value. */
  readonly at?: 'key';
}

/** The blocks of a config file that are right on their own. */
export type Blocks = Partial<ConfigFile>;

/** Everything that is wrong between settings; a check whose blocks are not there finds nothing. */
export function checkLinks(blocks: Blocks): Finding[] {
  return [
    ...listeners(blocks),
    ...(blocks.backends ?? []).flatMap(backend),
    ...repeatedBackends(blocks.backends ?? []),
    ...(blocks.usage === undefined ? [] : reporters(blocks.usage, blocks.storage)),
    ...accessLog(blocks.logging),
    ...metricsPath(blocks.metrics),
  ];
}

/** Findings for every name that an earlier entry of the list has. */
export function repeated(entries: readonly { readonly name: string }[], list: Path): Finding[] {
  return entries.flatMap(({ name }, i) => {
    const first = entries.findIndex((entry) => entry.name === name);
    if (first === i) return [];
    return [{ path: [...list, i, 'name'], message: `entry [${first}] has this name already` }];
  });
}

/** A finding when the block of a type is missing, and one for each block of another type. */
export function blocksOfType(
  entry: Readonly<Record<string, unknown>>,
  types: readonly string[],
  required: readonly string[],
  at: Path,
): Finding[] {
  const type = String(entry['type']);
  return types.flatMap((block): Finding[] => {
    const given = entry[block] !== undefined;
    if (given && block !== type) {
      return [
        { path: [...at, block], message: `the type is ${type}: this block would have no effect`, at: 'key' },
      ];
    }
    const missing = !given && block === type && required.includes(block);
    return missing ? [{ path: [...at, block], message: `is required for type ${type}` }] : [];
  });
}

type Entries = readonly { readonly name: string; readonly enabled: boolean }[];

/** A finding when a name is that of no enabled entry of `storage.<list>`. */
export function link(name: string, entries: Entries, list: keyof Storage, path: Path): Finding[] {
  const entry = entries.find((candidate) => candidate.name === name);
  if (entry === undefined) return [{ path, message: `no entry of storage.${list} has this name` }];
  return entry.enabled ? [] : [{ path, message: `this entry of storage.${list} is not enabled` }];
}

function listeners({ server, management, listen }: Blocks): Finding[] {
  const used = listen ?? server?.listen;
  if (management?.listen === undefined || management.listen !== used || used.endsWith(':0')) return [];
  return [
    {
      path: ['management', 'listen'],
      message: 'is the address of server.listen; leave it out to share that one',
    },
  ];
}

type Backend = ConfigFile['backends'][number];

function backend({ api_key, auth, headers }: Backend, i: number): Finding[] {
  const at = ['backends', i];
  const found: Finding[] = auth === undefined ? [] : backendAuth(auth, [...at, 'auth']);
  if (api_key !== undefined && auth !== undefined) {
    const message = 'api_key is given too: only one credential can be sent';
    found.push({ path: [...at, 'auth'], message, at: 'key' });
  }
  const carrier = carrierOf(api_key, auth)?.toLowerCase();
  const clash = Object.keys(headers).find((name) => name.toLowerCase() === carrier);
  if (clash !== undefined) {
    const message = 'this header carries the credential of the backend';
    found.push({ path: [...at, 'headers', clash], message, at: 'key' });
  }
  return found;
}

function backendAuth({ type, header }: NonNullable<Backend['auth']>, at: Path): Finding[] {
  const path = [...at, 'header'];
  if (type === 'header' && header === undefined) return [{ path, message: 'is required for type header' }];
  if (type === 'header' || header === undefined) return [];
  return [{ path, message: 'the type is bearer, which is sent as Authorization', at: 'key' }];
}

/** The header that the credential of a backend goes into. */
function carrierOf(apiKey: string | undefined, auth: Backend['auth']): string | undefined {
  if (auth?.type === 'header') return auth.header;
  return apiKey === undefined && auth === undefined ? undefined : 'Authorization';
}

function repeatedBackends(backends: readonly Backend[]): Finding[] {
  const names = backends.map(backendName);
  return names.flatMap((name, i) => {
    const first = names.indexOf(name);
    if (first === i) return [];
    if (backends[i]?.name !== undefined) {
      return [{ path: ['backends', i, 'name'], message: `backends[${first}] has this name already` }];
    }
    const message = `backends[${first}] has the same host and port: give each a name`;
    return [{ path: ['backends', i, 'url'], message }];
  });
}

type Usage = ConfigFile['usage'];
type Storage = ConfigFile['storage'];

function reporters(usage: Usage, storage: Storage | undefined): Finding[] {
  const found = [
    ...repeated(usage.reporters, ['usage', 'reporters']),
    ...usage.reporters.flatMap((reporter, i) => {
      const at = ['usage', 'reporters', i];
      return [
        ...blocksOfType(reporter, ['webhook', 'database'], ['webhook', 'database'], at),
        ...(reporter.enabled && storage !== undefined && reporter.database !== undefined
          ? link(reporter.database.storage, storage.databases, 'databases', [...at, 'database', 'storage'])
          : []),
      ];
    }),
  ];
  if (usage.enabled && !usage.reporters.some((reporter) => reporter.enabled)) {
    const message =
      'usage is on, but nothing receives its events: add a reporter, or set usage.enabled to false';
    found.push({ path: ['usage', 'reporters'], message });
  }
  return found;
}

function accessLog(logging: Blocks['logging']): Finding[] {
  const at = ['logging', 'access', 'file'];
  if (logging === undefined) return [];
  const { output, file } = logging.access;
  if (output === 'file' && file === undefined) return [{ path: at, message: 'is required for output file' }];
  if (output === 'file' || file === undefined) return [];
  return [{ path: at, message: `the output is ${output}: this block would have no effect`, at: 'key' }];
}

function metricsPath(metrics: Blocks['metrics']): Finding[] {
  if (metrics === undefined || !/^\/(v1(\/.*)?|health|livez|readyz)$/.test(metrics.path)) return [];
  return [{ path: ['metrics', 'path'], message: 'the gateway answers something else there' }];
}
