/** Sources of keys as they are used: what is not given has its default, and a hook is its text. */
import type { KeyEntry } from './check-auth.ts';
import type { DeepReadonly } from './deep-readonly.ts';
import { withFiles } from './login-files.ts';
import type { ConfigFile } from './schema/config-file.ts';
import { Cache, Lua } from './schema/providers.ts';
import type { Limits as FileLimits } from './schema/limits.ts';

type FileProvider = ConfigFile['auth']['pipeline'][number];
type BlockOf<K extends keyof FileProvider> = NonNullable<FileProvider[K]>;

/** What is limited; an absent one is unlimited, or that of the scope around it. */
export type Limits = DeepReadonly<FileLimits>;

/** One API key; times in ms since 1970 UTC, null: no bound. */
export type Key = DeepReadonly<{
  key: string;
  name: string | null;
  user_id: string | null;
  status: KeyEntry['status'];
  starts_at: number | null;
  expires_at: number | null;
  denied_ips: string[];
  /** Empty: every address. */
  allowed_ips: string[];
  /** Empty: every model. */
  allowed_models: string[];
  /** Tokens per period; null: unlimited. */
  total_quota: number | null;
  /** Tokens used before the gateway began to count. */
  used_quota: number;
  quota_reset_period: KeyEntry['quota_reset_period'];
  last_reset_at: number | null;
  balance: number | null;
  limits: Limits;
}>;

/** Lua of the user's that decides about keys. */
export type Hook = DeepReadonly<{
  /** Where it is written, for logs: `auth.pipeline.<provider>`. */
  name: string;
  source: string;
  /** Most that one run may use. */
  budget: { timeMs: number; memoryBytes: number; instructions: number };
}>;

/** How a provider is asked that can be slow or fail; times in ms. */
interface Asked {
  on_error: 'deny' | 'skip';
  timeout: number;
  cache: BlockOf<'cache'>;
}

/** An enabled source of keys. */
export type KeyProvider = DeepReadonly<
  { name: string } & (
    | { type: 'static' | 'file'; keys: Key[]; hook: Hook | undefined }
    | { type: 'lua'; hook: Hook }
    | ({ hook: Hook | undefined } & Asked &
        (
          | { type: 'builtin' }
          | { type: 'redis'; redis: BlockOf<'redis'> }
          | { type: 'database'; database: BlockOf<'database'> }
          | { type: 'webhook'; webhook: Omit<BlockOf<'webhook'>, 'timeout'> }
        ))
  )
>;

/** A provider that is enabled and right, with what the loader read for it. */
export interface ReadProvider {
  readonly provider: FileProvider;
  /** Of a `static` or `file` provider. */
  readonly keys: readonly KeyEntry[];
  readonly hookText: string | undefined;
}

const timeoutMsDefault = 5000;
const cacheDefault = Cache.parse({});
const hookDefault = Lua.parse({});

/** @param fileInConfig makes a file named in the config absolute */
export function providerOf(
  read: ReadProvider,
  mode: ConfigFile['auth']['mode'],
  fileInConfig: (path: string) => string,
): KeyProvider {
  const { provider, keys } = read;
  const { name, type } = provider;
  const hook = hookOf(read);
  const asked = { name, hook, ...askedOf(provider, mode) };
  switch (type) {
    case 'static':
    case 'file':
      return { name, type, hook, keys: keys.map(keyOf) };
    case 'lua':
      return { name, type, hook: given(hook) };
    case 'builtin':
      return { ...asked, type };
    case 'redis':
      return { ...asked, type, redis: given(provider.redis) };
    case 'database':
      return { ...asked, type, database: given(provider.database) };
    case 'webhook': {
      const { timeout: _, ...webhook } = given(provider.webhook);
      return { ...asked, type, webhook: withFiles(webhook, fileInConfig) };
    }
    default:
      return type satisfies never;
  }
}

/** What the checks have made sure of. */
function given<T>(block: T | undefined): T {
  if (block === undefined) throw new Error('a provider without the block of its type passed the checks');
  return block;
}

function askedOf(
  { on_error, timeout, webhook, cache }: FileProvider,
  mode: ConfigFile['auth']['mode'],
): Asked {
  return {
    on_error: on_error ?? (mode === 'all' ? 'deny' : 'skip'),
    timeout: timeout ?? webhook?.timeout ?? timeoutMsDefault,
    cache: cache ?? cacheDefault,
  };
}

function hookOf({ provider: { name, lua }, hookText }: ReadProvider): Hook | undefined {
  if (hookText === undefined) return undefined;
  const { timeout, max_memory, max_instructions } = lua ?? hookDefault;
  return {
    name: `auth.pipeline.${name}`,
    source: hookText,
    budget: { timeMs: timeout, memoryBytes: max_memory, instructions: max_instructions },
  };
}

function keyOf({ created_at: _, updated_at: __, rate_limit, ...key }: KeyEntry): Key {
  return {
    ...key,
    name: orNull(key.name),
    user_id: orNull(key.user_id),
    starts_at: orNull(key.starts_at),
    expires_at: orNull(key.expires_at),
    total_quota: quotaOf(key.total_quota),
    last_reset_at: orNull(key.last_reset_at),
    balance: orNull(key.balance),
    limits: key.limits ?? rate_limit ?? {},
  };
}

const orNull = <T>(value: T | undefined): T | null => value ?? null;
const quotaOf = (tokens = -1): number | null => (tokens < 0 ? null : tokens);
