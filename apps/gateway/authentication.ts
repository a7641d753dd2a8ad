/** Who may use the gateway: the providers of the config, asked as the config says. */
import {
  anonymous,
  authorizeModel,
  createAuthenticate,
  openFailureThrottle,
  openKeyring,
  openPipeline,
  redisSource,
  webhookSource,
  type KeyProvider,
  type KeySource,
} from '@llmproxy/auth';
import { createClientIp } from '@llmproxy/client-ip';
import { redisTarget, tlsReader, type Config } from '@llmproxy/config';
import { openKeyLookup } from '@llmproxy/key-lookup-socket';
import { findKeyRecord, followRevocations } from '@llmproxy/key-store';
import { closeRedis, connectRedis, type RedisClient } from '@llmproxy/redis';
import type { Logger } from '@llmproxy/telemetry';
import { createPeriods, systemClock } from '@llmproxy/time';
import { openAuthProblems } from './auth-problems.ts';
import type { Connections } from './connections.ts';
import { decideBy } from './hooks.ts';
import type { Stages } from './pipeline.ts';

export interface Authentication extends Pick<Stages, 'authenticate' | 'authorize'> {
  /** How the sources of keys fare, for `/readyz?verbose`: `ok`, or which of them do not answer. */
  keysFound(): string;
  close(): Promise<void>;
}

type Shared = Pick<Connections, 'commands' | 'subscriber' | 'news'>;
type Provider = Config['auth']['pipeline'][number];

/** @param shared left out where there is no Redis: then failures are counted in this process alone */
export function openAuthentication(config: Config, log: Logger, shared?: Shared): Authentication {
  const { auth } = config;
  const clientIp = createClientIp(config.server.trusted_proxies);
  if (!auth.enabled) return letsAllIn(clientIp);
  const opened = new Opened(config, shared);
  const names = auth.pipeline.map(({ name }) => name);
  const problems = openAuthProblems(log, names, systemClock);
  const periods = createPeriods(config.rate_limit.time_zone);
  const overrides = overridesOf(auth.status_codes);
  const pipeline = openPipeline({
    mode: auth.mode,
    providers: auth.pipeline.map((provider) => opened.provider(provider, log)),
    clock: systemClock,
    overrides,
    quotaPeriodStart: (period, nowMs) => periods.bounds(period, nowMs).startMs,
    onProblem: problems.onProblem,
    onAnswer: problems.onAnswer,
  });
  const revocations =
    shared &&
    followRevocations({
      subscriber: shared.subscriber,
      ...shared.news,
      onForget: (keyId) => pipeline.forget(keyId),
      onForgetAll: () => pipeline.forgetAll(),
    });
  const throttle = throttleOf(auth.failure_limit, shared);
  return {
    authenticate: createAuthenticate({
      headerNames: auth.header_names,
      skipPaths: auth.skip_paths,
      pipeline,
      clientIp,
      throttle,
    }),
    // The list of models is cut to those of the caller. Where a body is not read, nobody knows which model it names.
    authorize: (caller, route, ask) => {
      if (route.kind !== 'models') authorizeModel(caller, ask.model, overrides);
    },
    keysFound: () => problems.found(),
    async close() {
      revocations?.close();
      throttle?.close();
      await pipeline.close();
      await opened.close();
    },
  };
}

function letsAllIn(clientIp: ReturnType<typeof createClientIp>): Authentication {
  return {
    authenticate: (inbound) => ({ ...anonymous, ip: clientIp(inbound) }),
    authorize: () => undefined,
    keysFound: () => 'ok',
    close: () => Promise.resolve(),
  };
}

function throttleOf(limit: Config['auth']['failure_limit'], shared: Shared | undefined) {
  if (!limit.enabled) return undefined;
  return openFailureThrottle({
    clock: systemClock,
    failuresMax: limit.max_failures,
    windowMs: limit.window,
    blockMs: limit.block,
    ...(shared && { shared: { redis: shared.commands, subscriber: shared.subscriber, ...shared.news } }),
  });
}

function overridesOf(codes: Config['auth']['status_codes']) {
  return Object.fromEntries(
    Object.entries(codes).map(([outcome, code]) => [
      outcome,
      { allow: code?.allow, httpCode: code?.http_code, message: code?.message },
    ]),
  );
}

/** What the providers hold open. */
class Opened {
  readonly #config: Config;
  readonly #shared: Shared | undefined;
  readonly #caches = new Map<string, RedisClient>();
  readonly #closers: (() => Promise<unknown>)[] = [];

  constructor(config: Config, shared: Shared | undefined) {
    this.#config = config;
    this.#shared = shared;
  }

  provider(provider: Provider, log: Logger): KeyProvider {
    const { name, hook } = provider;
    const decide = hook && decideBy(hook, (message) => log.info({ hook: hook.name }, message));
    if (provider.type === 'lua') {
      if (decide === undefined) throw new Error(`${name} has no script`); // the config makes sure of it
      return { name, source: 'presented', decide };
    }
    if ('keys' in provider) return { name, decide, source: keyringOf(provider.keys) };
    const { ttl, negative_ttl: negativeTtl, max_entries: entriesMax } = provider.cache;
    return {
      name,
      decide,
      source: this.#source(provider, log),
      onError: provider.on_error,
      timeoutMs: provider.timeout,
      cache: { ttlMs: ttl, negativeTtlMs: negativeTtl, entriesMax },
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#closers.map((close) => close()));
  }

  #source(provider: Exclude<Provider, { type: 'static' | 'file' | 'lua' }>, log: Logger): KeySource {
    switch (provider.type) {
      case 'builtin':
        return this.#builtin();
      case 'redis':
        return redisSource({
          redis: this.#cache(provider.redis.storage, log),
          keyPattern: provider.redis.key_pattern,
        });
      case 'database':
        return this.#database(provider.name, provider.timeout);
      case 'webhook':
        return webhookSource({
          ...provider.webhook,
          tls: tlsReader(provider.webhook.tls),
          tell: (reason) => log.warn({ provider: provider.name }, reason),
          judgedByHook: provider.hook !== undefined,
        });
      default:
        return provider satisfies never;
    }
  }

  #builtin(): KeySource {
    const redis = this.#shared?.commands;
    if (redis === undefined) throw new Error('the keys of a builtin provider are in Redis');
    return { lookup: ({ secretHash }) => findKeyRecord(redis, secretHash) };
  }

  #cache(name: string, log: Logger): RedisClient {
    const known = this.#caches.get(name);
    if (known) return known;
    const target = this.#config.storage.caches.find((cache) => cache.name === name);
    if (target === undefined) throw new Error(`storage.caches has no ${name}`); // the config makes sure of it
    const redis = connectRedis({
      ...redisTarget(target),
      connectionName: 'llmproxy-gateway-keys',
      log: (level, message) => log[level](message),
    });
    this.#caches.set(name, redis);
    this.#closers.push(() => closeRedis(redis));
    return redis;
  }

  #database(name: string, timeoutMs: number): KeySource {
    const lookup = openKeyLookup({ socketPath: this.#config.auth.lookup.listen, timeoutMs });
    return { lookup: ({ secret }) => lookup.find(name, secret), close: () => lookup.close() };
  }
}

function keyringOf(keys: Extract<Provider, { type: 'static' | 'file' }>['keys']) {
  const records = keys.map((key) => ({
    ...key,
    starts_at: unixSeconds(key.starts_at),
    expires_at: unixSeconds(key.expires_at),
    last_reset_at: unixSeconds(key.last_reset_at),
  }));
  return openKeyring(records, Date.now());
}

/** As every source spells a moment. */
const unixSeconds = (atMs: number | null): number | null => (atMs === null ? null : atMs / 1000);
