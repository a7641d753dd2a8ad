/** Keeps knowing what a Redis may evict: the policy can change at run time, and with the server. */
import { Cluster, type Redis } from 'ioredis';
import { connectionProblem } from './connection-check.ts';
import { closeRedis, connectRedis, type RedisClient, type RedisConnection } from './connect.ts';
import { evictionFound, evictionOf, evictionRefusal, type Eviction } from './eviction.ts';

export interface EvictionWatch {
  /** What was found last; undefined while no answer has come since the connection was made. */
  latest(): Eviction | undefined;
  /** Why nothing may be entrusted to this Redis now, for people; undefined when it may. */
  refusal(): string | undefined;
  /** For `/readyz?verbose`: `ok`, `ok; …` with a remark, or why nothing is entrusted to it. */
  found(): string;
  close(): void;
}

export interface EvictionWatchOptions {
  /** For ordinary commands, best one whose commands fail while Redis is away; neither opened nor closed here. */
  readonly redis: RedisClient;
  /** Whether the operator takes the loss. */
  readonly allowed: boolean;
  /** Hears of each change for the worse, and of the way back. */
  readonly log?: ((level: 'info' | 'warn', message: string) => void) | undefined;
}

const lookEveryMs = 5_000;
const askAgainMs = 1_000;

/** Looks when a connection is made, and every 5 s. */
export function watchEviction(options: EvictionWatchOptions): EvictionWatch {
  const watch = new Watch(options);
  watch.start();
  return watch;
}

/** The same on a connection of its own, which `close` closes. */
export function openEvictionWatch(
  connection: RedisConnection,
  options: Omit<EvictionWatchOptions, 'redis'>,
): Omit<EvictionWatch, 'close'> & { close(): Promise<void> } {
  const redis = connectRedis({ ...connection, commandTimeoutMs: askAgainMs });
  const watch = watchEviction({ ...options, redis });
  return {
    latest: () => watch.latest(),
    refusal: () => watch.refusal(),
    found: () => watch.found(),
    close() {
      watch.close();
      return closeRedis(redis);
    },
  };
}

/**
 * Asks once. `INFO` works where `CONFIG` is forbidden.
 * @throws Error when Redis cannot be reached
 */
export async function readEviction(redis: RedisClient): Promise<Eviction> {
  const servers = redis instanceof Cluster ? redis.nodes('master') : [redis];
  const answers = await Promise.allSettled(servers.map(infoOf));
  const infos = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  if (infos.length > 0) return evictionOf(infos);
  for (const answer of answers) if (answer.status === 'rejected') throw answer.reason;
  throw new Error('no server of the Redis Cluster is known yet');
}

/** Empty where the server, or the ACL of its user, refuses the question. */
async function infoOf(server: Redis): Promise<string> {
  try {
    return await server.info('memory');
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'ReplyError') return '';
    throw cause;
  }
}

class Watch implements EvictionWatch {
  readonly #options: EvictionWatchOptions;
  #latest: Eviction | undefined;
  #told = '';
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: EvictionWatchOptions) {
    this.#options = options;
  }

  start(): void {
    const { redis } = this.#options;
    redis.on('ready', this.#look).on('+node', this.#look).on('close', this.#forget);
    if (redis.status === 'ready') this.#look();
  }

  latest(): Eviction | undefined {
    return this.#latest;
  }

  refusal(): string | undefined {
    const { redis, allowed } = this.#options;
    if (this.#latest === undefined)
      return connectionProblem(redis) ?? 'whether Redis evicts is not known yet';
    return evictionRefusal(this.#latest, allowed);
  }

  found(): string {
    const { redis, allowed } = this.#options;
    return this.#latest === undefined
      ? `not known: ${connectionProblem(redis) ?? 'Redis has not answered yet'}`
      : evictionFound(this.#latest, allowed);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#options.redis.off('ready', this.#look).off('+node', this.#look).off('close', this.#forget);
  }

  /** The next connection may lead to another server. */
  readonly #forget = (): void => void (this.#latest = undefined);

  readonly #look = (): void => void this.#ask();

  async #ask(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      this.#latest = await readEviction(this.#options.redis);
      this.#tell(this.#latest);
    } catch {
      // Away: whoever owns the connection tells. What was found before holds until the connection is lost.
    }
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(this.#look, this.#latest === undefined ? askAgainMs : lookEveryMs).unref();
  }

  #tell(eviction: Eviction): void {
    const { allowed, log = () => undefined } = this.#options;
    const found = evictionFound(eviction, allowed);
    if (found === this.#told) return;
    const wasTold = this.#told !== '';
    this.#told = found;
    if (found !== 'ok') log('warn', found.replace(/^ok; /, 'Redis: '));
    else if (wasTold) log('info', 'Redis evicts nothing any more');
  }
}
