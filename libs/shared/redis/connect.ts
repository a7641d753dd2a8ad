/**
 * Connections to Redis that outlive its restarts: a server that is down is waited for, never thrown about, and told
 * once per change of state rather than once per attempt.
 */
import type { RedisOptions } from 'ioredis';
import { Redis } from 'ioredis';

export type RedisLog = (level: 'info' | 'warn', message: string) => void;

export interface RedisConnection {
  /** `redis://`, `rediss://` (TLS) or `unix:///path/to.sock`; a database number as path, or as `?db=` of a socket. */
  readonly url: string;
  /** Shown by CLIENT LIST, so that an operator can tell who holds a connection. */
  readonly connectionName: string;
  /**
   * What a command does while there is no connection: `queue` waits for it, `fail` (default) rejects at once, for
   * callers who would rather do without Redis than make a client wait.
   */
  readonly whenDown?: 'queue' | 'fail' | undefined;
  /** A command without an answer for this long is rejected; unset: waits. */
  readonly commandTimeoutMs?: number | undefined;
  /** Hears of connections made and lost; never contains a password. */
  readonly log?: RedisLog | undefined;
}

const connectTimeoutMs = 5000;
const backOffMsMax = 2000;
const quitMsMax = 1000;

/**
 * A connection that is opened in the background and reopened for as long as it is not closed with `closeRedis`.
 * @throws Error only when the URL cannot be understood
 */
export function connectRedis(connection: RedisConnection): Redis {
  const queues = connection.whenDown === 'queue';
  return open(connection, {
    enableOfflineQueue: queues,
    autoResendUnfulfilledCommands: queues,
    // 0: a command under way when the connection breaks is rejected then, not after some more attempts.
    maxRetriesPerRequest: queues ? null : 0,
  });
}

/** A connection as BullMQ needs it: its blocking reads wait through an outage instead of failing. */
export function connectForQueues(connection: Omit<RedisConnection, 'whenDown' | 'commandTimeoutMs'>): Redis {
  return connectRedis({ ...connection, whenDown: 'queue' });
}

/** Ends a connection for good: answers under way are waited for, at most 1 s. */
export async function closeRedis(redis: Redis): Promise<void> {
  if (redis.status === 'ready') {
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<void>((resolve) => (timer = setTimeout(resolve, quitMsMax)));
    await Promise.race([redis.quit().catch(() => undefined), tooLong]);
    clearTimeout(timer);
  }
  redis.disconnect();
}

/** A Redis URL as it may be shown: user name and password replaced, query dropped. */
export function redactRedisUrl(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined) return '(unreadable Redis URL)';
  const credentials = parsed.username !== '' || parsed.password !== '' ? '***@' : '';
  return `${parsed.protocol}//${credentials}${parsed.host}${parsed.pathname}`;
}

function open(connection: RedisConnection, manners: RedisOptions): Redis {
  const options: RedisOptions = {
    ...manners,
    ...socketOptions(connection.url),
    connectionName: connection.connectionName,
    connectTimeout: connectTimeoutMs,
    retryStrategy: backOff,
    ...(connection.commandTimeoutMs === undefined ? {} : { commandTimeout: connection.commandTimeoutMs }),
  };
  const redis = isSocket(connection.url) ? new Redis(options) : new Redis(connection.url, options);
  tell(redis, redactRedisUrl(connection.url), connection.log ?? (() => undefined));
  return redis;
}

const isSocket = (url: string): boolean => url.startsWith('unix:');

function socketOptions(url: string): RedisOptions {
  if (!URL.canParse(url) || !/^(redis|rediss|unix):\/\//.test(url)) {
    throw new Error(
      `${redactRedisUrl(url)} is not a Redis URL: write redis://host:6379/0, rediss://host:6379/0 or unix:///path/to.sock`,
    );
  }
  if (!isSocket(url)) return {};
  const { pathname, searchParams } = new URL(url);
  return { path: decodeURIComponent(pathname), db: Number(searchParams.get('db') ?? 0) };
}

/** 50 ms doubling to 2 s, each cut by up to half so that a fleet does not come back in step. */
function backOff(attempt: number): number {
  const fullMs = Math.min(50 * 2 ** Math.min(attempt - 1, 10), backOffMsMax);
  return Math.round(fullMs * (0.5 + Math.random() / 2));
}

/** ioredis reports every failed attempt; an operator needs to hear of changes only. */
function tell(redis: Redis, server: string, log: RedisLog): void {
  let told = '';
  const once = (level: 'info' | 'warn', message: string) => {
    if (message !== told) log(level, message);
    told = message;
  };
  redis.on('ready', () => once('info', `connected to Redis at ${server}`));
  redis.on('reconnecting', () => {
    if (told.startsWith('connected')) once('warn', `lost the connection to Redis at ${server}; reconnecting`);
  });
  // Only the message: the error object of a refused login carries the password among its arguments.
  redis.on('error', (error: NodeJS.ErrnoException) => {
    once('warn', `Redis at ${server}: ${error.message || error.code || error.name}`);
  });
}
