/**
 * Settings that are documented for LLMProxy but that this version cannot honour. They are refused by name, so that
 * nobody believes a limit, a filter or a certificate to be in force that is not. Move an entry into the schema when
 * it is built.
 */
export interface NotBuilt {
  /** Dotted path; `*` stands for any list index. Everything below it is refused too. */
  readonly path: string;
  /** Only these values of the setting are refused. */
  readonly values?: readonly string[];
  readonly what: string;
  /** What to write instead, when there is something. */
  readonly instead?: string;
}

const topLevel: readonly NotBuilt[] = [
  { path: 'discovery', what: 'backends from HTTP, Consul, etcd, Kubernetes or SQL' },
  { path: 'admin', what: 'the Admin API' },
  { path: 'hooks', what: 'hooks' },
  { path: 'scripts', what: 'hooks' },
  { path: 'groups', what: 'groups of backends' },
  { path: 'listeners', what: 'several listeners' },
  { path: 'breaker', what: 'circuit breakers' },
  {
    path: 'models',
    what: 'a fixed list of models',
    instead: 'leave it out: /v1/models is merged from the backends',
  },
  { path: 'model_mapping', what: 'model mapping' },
  { path: 'error_handler', what: 'hooks' },
  { path: 'usage_hook', what: 'the old spelling of usage', instead: 'usage.reporters' },
  {
    path: 'load_balance_strategy',
    what: 'the old spelling of routing.load_balance',
    instead: 'routing.load_balance',
  },
];

const server: readonly NotBuilt[] = [
  { path: 'server.write_timeout', what: 'a limit on the length of an answer, which would cut streams' },
  { path: 'server.cors', what: 'CORS headers' },
  { path: 'server.tls', what: 'TLS on the listener', instead: 'a TLS proxy in front' },
];

const backends: readonly NotBuilt[] = [
  { path: 'backends.*.max_idle_conns', what: 'a limit on idle connections' },
  { path: 'backends.*.models', what: 'routing by model' },
  { path: 'backends.*.paths', what: 'routing by path' },
  { path: 'backends.*.region', what: 'routing by region' },
  { path: 'backends.*.id', what: 'an id beside the name', instead: 'name' },
];

const routing: readonly NotBuilt[] = [
  {
    path: 'routing.load_balance',
    values: ['least_connections', 'least_conn', 'latency_based', 'random'],
    what: 'this strategy',
    instead: 'round_robin or weighted',
  },
  { path: 'routing.enabled', what: 'the switch of retry and fallback', instead: 'leave it out' },
  { path: 'routing.retry', what: 'retries' },
  { path: 'routing.fallback', what: 'fallback backends' },
  { path: 'routing.timeout', what: 'a time-out for all backends', instead: 'backends[].timeout' },
  {
    path: 'routing.connect_timeout',
    what: 'a time-out for all backends',
    instead: 'backends[].connect_timeout',
  },
  {
    path: 'routing.load_balance_strategy',
    what: 'the old spelling of load_balance',
    instead: 'routing.load_balance',
  },
  { path: 'routing.strategy', what: 'the old spelling of load_balance', instead: 'routing.load_balance' },
  { path: 'routing.backend_header', what: 'a header that picks the backend' },
  { path: 'routing.model_mapping', what: 'model mapping' },
  { path: 'routing.request_transform', what: 'hooks' },
  { path: 'routing.response_transform', what: 'hooks' },
  { path: 'routing.script', what: 'hooks' },
  { path: 'routing.script_file', what: 'hooks' },
  { path: 'health_check.script', what: 'hooks' },
];

const inlineConnection = (provider: string, keys: readonly string[], storage: string): NotBuilt[] =>
  keys.map((key) => ({
    path: `auth.pipeline.*.${provider}.${key}`,
    what: 'a connection inside a provider',
    instead: `an entry of storage.${storage}, named by ${provider}.storage`,
  }));

const auth: readonly NotBuilt[] = [
  { path: 'auth.storage', what: 'the old spelling of providers', instead: 'auth.pipeline' },
  { path: 'auth.defaults', what: 'default quotas' },
  { path: 'auth.pipeline.*.script', what: 'hooks under this name', instead: 'lua.script' },
  ...inlineConnection('redis', ['url', 'addr', 'password', 'db'], 'caches'),
  ...inlineConnection('database', ['driver', 'dsn', 'host', 'port', 'user', 'password', 'path'], 'databases'),
];

const rateLimit: readonly NotBuilt[] = [
  {
    path: 'rate_limit.storage',
    values: ['memory'],
    what: 'counting in the memory of one process, which is wrong with more than one worker',
    instead: 'leave it out: it is Redis',
  },
  { path: 'rate_limit.redis', what: 'a Redis of its own for limits', instead: 'redis.url' },
  { path: 'rate_limit.script', what: 'hooks' },
  { path: 'rate_limit.per_user', what: 'limits per user', instead: 'rate_limit.per_key' },
  { path: 'rate_limit.per_model', what: 'limits per model', instead: 'rate_limit.per_backend' },
];

const flatReporter = 'the settings of a reporter without their block';
const usage: readonly NotBuilt[] = [
  {
    path: 'usage.reporters.*.type',
    values: ['builtin', 'redis'],
    what: 'this type of reporter',
    instead: 'webhook or database',
  },
  { path: 'usage.reporters.*.builtin', what: 'usage in the key database', instead: 'a database reporter' },
  { path: 'usage.reporters.*.redis', what: 'usage in Redis' },
  { path: 'usage.reporters.*.script', what: 'hooks' },
  ...['url', 'timeout', 'retry'].map((key) => ({
    path: `usage.reporters.*.${key}`,
    what: flatReporter,
    instead: `webhook.${key}`,
  })),
  {
    path: 'storage.caches.*.driver',
    values: ['memory'],
    what: 'a store in the memory of one process',
    instead: 'redis',
  },
  ...['pool_size', 'min_idle_conns'].map((key) => ({
    path: `storage.caches.*.${key}`,
    what: 'several connections to one Redis',
    instead: "leave it out: one carries every worker's commands",
  })),
  ...['dial_timeout', 'read_timeout', 'write_timeout'].map((key) => ({
    path: `storage.caches.*.${key}`,
    what: 'time-outs of a connection',
    instead: 'timeout of the provider',
  })),
  ...['max_size', 'ttl'].map((key) => ({
    path: `storage.caches.*.${key}`,
    what: 'a store in the memory of one process',
    instead: 'cache of the provider',
  })),
  { path: 'storage.databases.*.max_idle_conns', what: 'a limit on idle connections' },
  { path: 'storage.databases.*.conn_max_lifetime', what: 'the age of a connection' },
  { path: 'storage.databases.*.conn_max_idle_time', what: 'the age of a connection' },
];

const fileRotation = ['rotate', 'max_size', 'max_size_mb', 'max_age', 'max_backups', 'compress'];
const operations: readonly NotBuilt[] = [
  { path: 'log.format', what: 'another format of the system log', instead: 'leave it out: it is JSON' },
  { path: 'log.output', what: 'another place for the system log', instead: 'redirect standard output' },
  { path: 'log.file', what: 'another place for the system log', instead: 'redirect standard output' },
  { path: 'logging.request', what: 'the request log in SQL', instead: 'a database reporter' },
  ...fileRotation.map((key) => ({
    path: `logging.access.file.${key}`,
    what: 'log rotation',
    instead: 'logrotate with copytruncate',
  })),
  { path: 'logging.access.script', what: 'hooks' },
  { path: 'logging.access.storage', what: 'the access log in SQL' },
  { path: 'metrics.custom_labels', what: 'labels of your own' },
];

export const notBuilt: readonly NotBuilt[] = [
  ...topLevel,
  ...server,
  ...backends,
  ...routing,
  ...auth,
  ...rateLimit,
  ...usage,
  ...operations,
];

const covers = (pattern: string, path: readonly PropertyKey[]): boolean =>
  pattern.split('.').every((part, i) => (part === '*' ? typeof path[i] === 'number' : part === path[i]));

/** The entry that covers a setting, if any; `value` decides where only some values are not built. */
export function findNotBuilt(path: readonly PropertyKey[], value: unknown): NotBuilt | undefined {
  return notBuilt.find(
    (entry) =>
      covers(entry.path, path) &&
      (entry.values === undefined || (typeof value === 'string' && entry.values.includes(value))),
  );
}

export const notBuiltMessage = (entry: NotBuilt): string =>
  `documented, but not built in this version (${entry.what})` +
  (entry.instead === undefined ? '' : `; instead: ${entry.instead}`);

const foreign: readonly (readonly [string, readonly string[]])[] = [
  ['llmproxy-go', ['httpServer', 'upstreams', 'upstreamGroups']],
  ['llm-proxy', ['providers', 'master_keys']],
];

/** Recognises the file of another program by a top-level key that only its files have. */
export function findForeignDialect(keys: readonly string[]): { key: string; message: string } | undefined {
  for (const [program, signs] of foreign) {
    const key = keys.find((candidate) => signs.includes(candidate));
    if (key !== undefined) {
      return { key, message: `this is a file of ${program}; translating those is not built in this version` };
    }
  }
  return undefined;
}
