/** From the settings as written to the settings as used: defaults that need a look elsewhere, one spelling each. */
import { backendName } from './backend-name.ts';
import { databaseTls, type DatabaseTls } from './database-tls.ts';
import type { DeepReadonly } from './deep-readonly.ts';
import { limitsOver } from './limits-over.ts';
import { withFiles, type Login } from './login-files.ts';
import { providerOf } from './resolve-auth.ts';
import type { KeyProvider, Limits, ReadProvider } from './resolve-auth.ts';
import type { ConfigFile } from './schema/config-file.ts';

type File = ConfigFile;

/** One LLM server; `api_key` and `auth` have become `credential`. */
export type Backend = DeepReadonly<
  Omit<File['backends'][number], 'name' | 'api_key' | 'auth' | 'limits'> & {
    name: string;
    /** The header that carries our credential; undefined: none is sent. */
    credential: { header: string; value: string } | undefined;
    /** Its own over those of `rate_limit.per_backend`, whose mode holds; empty: unlimited. */
    limits: Limits;
  }
>;

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
      | {
          driver: 'postgres' | 'mysql';
          dsn: string;
          max_open_conns: number;
          /** Of PostgreSQL only. */
          schema: string | undefined;
          /** Says what the words of the dsn say too; undefined: the connection is not encrypted. */
          tls: DatabaseTls | undefined;
        }
    )
>;

/** Of a cluster, `url` is one seed or several with commas between. */
export type RedisServer = DeepReadonly<Login & { url: string; cluster: boolean }>;

/** An enabled Redis with data of the user's. */
export type Cache = DeepReadonly<Named & RedisServer>;

/**
 * A checked config, frozen. Durations are in ms, sizes in bytes, files absolute, names in `auth.header_names` in lower
 * case; list entries that are not enabled are gone.
 */
export type Config = DeepReadonly<
  Omit<File, 'listen' | 'api_keys' | 'server' | 'backends' | 'auth' | 'usage' | 'storage' | 'rate_limit'> & {
    server: File['server'] & { workers: number };
    auth: Omit<File['auth'], 'pipeline' | 'lookup'> & {
      pipeline: KeyProvider[];
      /** `listen` is the absolute path of a unix socket. */
      lookup: { listen: string };
    };
    /** Every scope is there: one that is not written down is enabled, and without limits. */
    rate_limit: File['rate_limit'];
    usage: Omit<File['usage'], 'reporters'> & { reporters: Reporter[] };
    storage: { databases: Database[]; caches: Cache[] };
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
  readonly inDataDir: (dataDir: string, file: string) => string;
  readonly providers: readonly ReadProvider[];
}

/** @param file has passed all checks */
export function resolveConfig(file: File, around: Surroundings): Config {
  const { listen, api_keys: _, server, ...rest } = file;
  const dataDir = around.dataDir(file.data_dir);
  return {
    ...rest,
    data_dir: dataDir,
    server: { ...server, listen: listen ?? server.listen, workers: server.workers ?? around.cores },
    backends: file.backends.map((backend) => backendOf(backend, file.rate_limit)),
    auth: authOf(file.auth, around, dataDir),
    usage: { ...file.usage, reporters: file.usage.reporters.flatMap((entry) => reporterOf(entry, around)) },
    storage: {
      databases: file.storage.databases.flatMap((entry) => databaseOf(entry, around, dataDir)),
      caches: file.storage.caches.flatMap((entry) => cacheOf(entry, around)),
    },
    redis: { ...withFiles(file.redis, around.fileInConfig), url: file.redis.url ?? around.redisUrl },
    logging: loggingOf(file.logging, around),
  };
}

function backendOf(
  { api_key, auth, name, limits = {}, ...rest }: File['backends'][number],
  { enabled, per_backend }: File['rate_limit'],
): Backend {
  return {
    ...rest,
    name: backendName({ name, url: rest.url }),
    credential: credentialOf(api_key, auth),
    limits: enabled && per_backend.enabled ? limitsOver(per_backend, limits) : {},
  };
}

function authOf(auth: File['auth'], around: Surroundings, dataDir: string): Config['auth'] {
  const { listen } = auth.lookup;
  return {
    ...auth,
    header_names: auth.header_names.map((name) => name.toLowerCase()),
    pipeline: around.providers.map((read) => providerOf(read, auth.mode, around.fileInConfig)),
    lookup: {
      listen:
        listen === undefined ? around.inDataDir(dataDir, 'key-lookup.sock') : around.fileInConfig(listen),
    },
  };
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

function reporterOf(
  { name, type, enabled, webhook, database }: FileReporter,
  { fileInConfig }: Surroundings,
): Reporter[] {
  if (!enabled) return [];
  if (type === 'webhook') {
    return webhook === undefined ? [] : [{ name, type, webhook: withFiles(webhook, fileInConfig) }];
  }
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
        path: path === undefined ? around.inDataDir(dataDir, 'llmproxy.db') : around.fileInConfig(path),
      },
    ];
  }
  return [
    {
      name,
      driver,
      dsn: dsn ?? dsnOf({ ...entry, driver }),
      max_open_conns: entry.max_open_conns ?? 10,
      schema: entry.schema,
      tls: withFiles({ tls: databaseTls(entry) }, around.fileInConfig).tls,
    },
  ];
}

function cacheOf(entry: File['storage']['caches'][number], { fileInConfig }: Surroundings): Cache[] {
  const { enabled, driver: _, addr = '', db = 0, url, ...rest } = entry;
  if (!enabled) return [];
  const scheme = rest.tls === undefined ? 'redis' : 'rediss';
  return [{ ...withFiles(rest, fileInConfig), url: url ?? `${scheme}://${addr}/${db}` }];
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
