/** From the settings as written to the settings as used: defaults that need a look elsewhere, one spelling each. */
import { backendName } from './backend-name.ts';
import type { KeyEntry } from './check-auth.ts';
import type { ConfigFile } from './schema/config-file.ts';

type File = ConfigFile;
type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

/** One LLM server; `api_key` and `auth` have become `credential`. */
export type Backend = DeepReadonly<
  Omit<File['backends'][number], 'name' | 'api_key' | 'auth'> & {
    name: string;
    /** The header that carries our credential; undefined: none is sent. */
    credential: { header: string; value: string } | undefined;
  }
>;

/** One API key; times in ms since 1970 UTC, null: no bound. */
export type Key = DeepReadonly<{
  key: string;
  name: string | null;
  user_id: string | null;
  status: KeyEntry['status'];
  starts_at: number | null;
  expires_at: number | null;
}>;

/** An enabled source of keys, with the keys it holds. */
export type KeyProvider = DeepReadonly<{ name: string; type: 'static' | 'file'; keys: Key[] }>;

interface Named {
  name: string;
}
type FileReporter = File['usage']['reporters'][number];

/** An enabled receiver of usage events. */
export type Reporter = DeepReadonly<
  Named &
    (
      | { type: 'webhook'; webhook: NonNullable<FileReporter['webhook']> }
      | { type: 'database'; database: NonNullable<FileReporter['database']> }
    )
>;

type FileDatabase = File['storage']['databases'][number];

/** An enabled SQL database; `path` is absolute, `dsn` a URL made of its parts where the file has parts. */
export type Database = DeepReadonly<
  Named &
    (
      | { driver: 'sqlite'; path: string }
      | { driver: 'postgres' | 'mysql'; dsn: string; max_open_conns: number }
    )
>;

/**
 * A checked config, frozen. Durations are in ms, sizes in bytes, files absolute, names in `auth.header_names` in lower
 * case; list entries that are not enabled are gone.
 */
export type Config = DeepReadonly<
  Omit<File, 'listen' | 'api_keys' | 'server' | 'backends' | 'auth' | 'usage' | 'storage'> & {
    server: File['server'] & { workers: number };
    auth: Omit<File['auth'], 'pipeline'> & { pipeline: KeyProvider[] };
    usage: Omit<File['usage'], 'reporters'> & { reporters: Reporter[] };
    storage: { databases: Database[] };
  }
> & { readonly backends: readonly Backend[] };

/** What the loader knows and the file does not say. */
export interface Surroundings {
  readonly cores: number;
  readonly redisUrl: string | undefined;
  /** Makes a file named in the config absolute. */
  readonly fileInConfig: (path: string) => string;
  /** Makes `data_dir` absolute. */
  readonly dataDir: (path: string) => string;
  readonly defaultDatabase: (dataDir: string) => string;
  readonly providers: readonly { name: string; type: 'static' | 'file'; keys: readonly KeyEntry[] }[];
}

/** @param file has passed all checks */
export function resolveConfig(file: File, around: Surroundings): Config {
  const { listen, api_keys: _, server, ...rest } = file;
  const dataDir = around.dataDir(file.data_dir);
  const pipeline = around.providers.map((provider) => ({ ...provider, keys: provider.keys.map(keyOf) }));
  return {
    ...rest,
    data_dir: dataDir,
    server: { ...server, listen: listen ?? server.listen, workers: server.workers ?? around.cores },
    backends: file.backends.map(backendOf),
    auth: { ...file.auth, header_names: file.auth.header_names.map((name) => name.toLowerCase()), pipeline },
    usage: { ...file.usage, reporters: file.usage.reporters.flatMap(reporterOf) },
    storage: {
      databases: file.storage.databases.flatMap((entry) => databaseOf(entry, around, dataDir)),
    },
    redis: { url: file.redis.url ?? around.redisUrl },
    logging: loggingOf(file.logging, around),
  };
}

function backendOf({ api_key, auth, name, ...rest }: File['backends'][number]): Backend {
  return { ...rest, name: backendName({ name, url: rest.url }), credential: credentialOf(api_key, auth) };
}

function credentialOf(
  apiKey: string | undefined,
  auth: File['backends'][number]['auth'],
): Backend['credential'] {
  if (apiKey !== undefined) return { header: 'Authorization', value: `Bearer ${apiKey}` };
  if (auth === undefined) return undefined;
  if (auth.type === 'bearer') return { header: 'Authorization', value: `Bearer ${auth.value}` };
  return auth.header === undefined ? undefined : { header: auth.header, value: auth.value };
}

const keyOf = ({ key, name, user_id, status, starts_at, expires_at }: KeyEntry): Key => ({
  key,
  name: name ?? null,
  user_id: user_id ?? null,
  status,
  starts_at: starts_at ?? null,
  expires_at: expires_at ?? null,
});

function reporterOf({ name, type, enabled, webhook, database }: FileReporter): Reporter[] {
  if (!enabled) return [];
  if (type === 'webhook') return webhook === undefined ? [] : [{ name, type, webhook }];
  return database === undefined ? [] : [{ name, type, database }];
}

function databaseOf(entry: FileDatabase, around: Surroundings, dataDir: string): Database[] {
  const { name, enabled, driver, path, dsn } = entry;
  if (!enabled) return [];
  if (driver === 'sqlite') {
    return [
      {
        name,
        driver,
        path: path === undefined ? around.defaultDatabase(dataDir) : around.fileInConfig(path),
      },
    ];
  }
  return [
    { name, driver, dsn: dsn ?? dsnOf({ ...entry, driver }), max_open_conns: entry.max_open_conns ?? 10 },
  ];
}

const defaultPort = { postgres: 5432, mysql: 3306 };

function dsnOf(entry: FileDatabase & { driver: 'postgres' | 'mysql' }): string {
  const { driver, host = '', port = defaultPort[driver], user, password, database = '' } = entry;
  const secret = password === undefined ? '' : `:${encodeURIComponent(password)}`;
  const login = user === undefined ? '' : `${encodeURIComponent(user)}${secret}@`;
  const address = host.includes(':') ? `[${host}]` : encodeURIComponent(host);
  return `${driver}://${login}${address}:${port}/${encodeURIComponent(database)}`;
}

function loggingOf({ enabled, access }: File['logging'], around: Surroundings): File['logging'] {
  const file = access.file === undefined ? undefined : { path: around.fileInConfig(access.file.path) };
  return { enabled, access: { ...access, enabled: enabled && access.enabled, file } };
}
