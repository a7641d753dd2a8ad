/** Who lists which keys, and what is wrong between the providers. */
import { repeated } from './check-links.ts';
import type { Blocks, Finding } from './check-links.ts';
import { checkProvider } from './check-providers.ts';
import { renderPath, renderProblem } from './problem.ts';
import type { Problem } from './problem.ts';
import type { Path, YamlFile } from './read-yaml.ts';
import type { ConfigFile } from './schema/config-file.ts';

export type KeyEntry = ConfigFile['api_keys'][number];
type Provider = ConfigFile['auth']['pipeline'][number];

/** A list of keys and the place it stands at. */
export interface KeyList {
  readonly yaml: YamlFile;
  readonly path: Path;
  readonly keys: readonly KeyEntry[];
}

/** The providers to ask, in order: those enabled, or the implicit one over `api_keys`. */
export function providersOf(auth: ConfigFile['auth']): readonly Provider[] {
  if (!auth.enabled) return [];
  if (auth.pipeline.length === 0) return [{ name: 'api_keys', type: 'file', enabled: true }];
  return auth.pipeline.filter((provider) => provider.enabled);
}

/** What is wrong with the `auth` block and with `api_keys`, as far as the config file itself tells. */
export function checkAuth({ auth, api_keys, storage }: Blocks, authIsGiven: boolean): Finding[] {
  if (auth === undefined) return [];
  const found = [
    ...repeated(auth.pipeline, ['auth', 'pipeline']),
    ...auth.pipeline.flatMap((provider, i) => checkProvider(provider, storage, ['auth', 'pipeline', i])),
    ...statusCodes(auth.status_codes),
  ];
  if (auth.enabled && providersOf(auth).length === 0) {
    const message = 'no provider is enabled, so every request would be refused';
    found.push({ path: ['auth', 'pipeline'], message, at: 'key' });
  }
  const unused = (api_keys ?? []).length > 0 && !providersOf(auth).some(takesApiKeys);
  if (unused && (auth.enabled || !authIsGiven)) {
    const cure = auth.enabled
      ? 'add a provider of type file without a path'
      : 'add the block auth: { enabled: true }';
    found.push({ path: ['api_keys'], message: `nothing asks for these keys: ${cure}`, at: 'key' });
  }
  return found;
}

type StatusCodes = ConfigFile['auth']['status_codes'];

function statusCodes(codes: StatusCodes): Finding[] {
  const at = ['auth', 'status_codes'];
  const nobody = codes.active?.allow === false;
  return [
    ...(nobody ? [{ path: [...at, 'active', 'allow'], message: 'nobody would be let in' }] : []),
    ...Object.entries(codes).flatMap(([outcome, code]) => {
      if (code === undefined || (outcome !== 'active' && code.allow !== true)) return [];
      const message = 'this outcome lets the request through: this would have no effect';
      return (['http_code', 'message'] as const)
        .filter((key) => code[key] !== undefined)
        .map((key): Finding => ({ path: [...at, outcome, key], message, at: 'key' }));
    }),
  ];
}

const takesApiKeys = ({ type, file }: Provider): boolean => type === 'file' && file?.path === undefined;

/** Keys that stand in two places, and providers that leave nobody in. Never names a key. */
export function checkKeys(lists: readonly KeyList[]): Problem[] {
  const firstPlaces = new Map<string, { yaml: YamlFile; path: Path }>();
  const problems: Problem[] = [];
  for (const { yaml, path: list, keys } of lists) {
    for (const [i, { key }] of keys.entries()) {
      const path = [...list, i, 'key'];
      const first = firstPlaces.get(key);
      if (first === undefined) firstPlaces.set(key, { yaml, path });
      else problems.push(yaml.problem(path, `the same key stands at ${placeOf(first, yaml)}`));
    }
  }
  return problems;
}

function placeOf({ yaml, path }: { yaml: YamlFile; path: Path }, from: YamlFile): string {
  if (yaml === from) return renderPath(path);
  return renderProblem(yaml.problem(path, '')).replace(/: $/, '');
}
