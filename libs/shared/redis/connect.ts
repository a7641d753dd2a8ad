/**
 * Connections to Redis that outlive its restarts: a server that is down is waited for, never thrown about, and told
 * once per change of state rather than once per attempt.
 */
import type { Cluster, Command, RedisOptions } from 'ioredis';
import { Redis } from 'ioredis';
import { openCluster } from './cluster.ts';
import { checkConnection, connectionProblem } from './connection-check.ts';
import { leavingReplicas } from './read-only.ts';
import { connectTimeoutMs } from './timing.ts';
import { forgetLogin, openLogin, withLogin, type Login } from './login.ts';
import { tellServer, type RedisLog } from './tell.ts';
import { checkedServerUrl, type RedisTarget } from './target.ts';

/** A connection to one server or to a Redis Cluster: the same commands, the same `status` and events. */
export type RedisClient = Redis | Cluster;

export interface RedisConnection extends RedisTarget {
  /** Shown by CLIENT LIST, so that an operator can tell who holds a connection. */
  readonly connectionName: string;
  /**
   * What a command does while there is no connection: `queue` waits for it, `fail` (default) rejects at once, for
   * callers who would rather do without Redis than make a client wait. Of a cluster the connection to the server that
   * holds the key is what counts.
   */
  readonly whenDown?: 'queue' | 'fail' | undefined;
  /** A command without an answer for this long is rejected; unset: waits. */
  readonly commandTimeoutMs?: number | undefined;
  /** Hears of connections made and lost; never contains a password. */
  readonly log?: RedisLog | undefined;
}

const quitMsMax = 1000;

type Rest = Parameters<Redis['sendCommand']> extends [unknown, ...infer Others] ? Others : never;

/**
 * A connection that is opened in the background and reopened for as long as it is not closed with `closeRedis`.
 * @throws Error only when the URL cannot be understood, or password or certificates cannot be read
 */
export function connectRedis(connection: RedisConnection): RedisClient {
  const redis = connection.cluster === true ? openCluster(connection) : openServer(connection);
  checkConnection(redis); // from the first attempt on, whoever asks for the cause later
  return redis;
}

/**
 * A connection as BullMQ needs it: its blocking reads wait through an outage instead of failing. Who only adds jobs may
 * have its commands `fail` meanwhile.
 */
export function connectForQueues(connection: Omit<RedisConnection, 'commandTimeoutMs'>): RedisClient {
  return tellingVersionOnly(connectRedis({ whenDown: 'queue', ...connection, commandTimeoutMs: undefined }));
}

/**
 * BullMQ asks each of its connections for all of INFO, to learn the version, and prints a line of its own about the
 * eviction policy, which we tell in the log, in readyz and as a metric. Its option `skipVersionCheck` is no way out: it
 * then takes the server for Redis 5 and waits for delayed jobs in whole seconds.
 */
function tellingVersionOnly<Client extends RedisClient>(redis: Client): Client {
  const info = redis.info.bind(redis) as (...args: unknown[]) => Promise<string>;
  const duplicate = redis.duplicate.bind(redis) as (...args: unknown[]) => RedisClient;
  return Object.assign(redis, {
    info: (...args: unknown[]) => (args.length === 0 ? info('server') : info(...args)), // ioredis asks, too
    duplicate: (...args: unknown[]) => tellingVersionOnly(duplicate(...args)),
  });
}

/** Ends a connection for good: answers under way are waited for, at most 1 s. */
export async function closeRedis(redis: RedisClient): Promise<void> {
  if (redis.status === 'ready') {
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<void>((resolve) => (timer = setTimeout(resolve, quitMsMax)));
    await Promise.race([redis.quit().catch(() => undefined), tooLong]);
    clearTimeout(timer);
  }
  if (redis.status !== 'end') redis.disconnect();
}

function openServer(connection: RedisConnection): Redis {
  const queues = connection.whenDown === 'queue';
  const url = checkedServerUrl(connection.url);
  const options: RedisOptions = {
    enableOfflineQueue: queues,
    autoResendUnfulfilledCommands: queues,
    // followChannel does it: a subscription that ioredis makes again ends the process when Redis refuses it.
    autoResubscribe: false,
    // 0: a command under way when the connection breaks is rejected then, not after some more attempts.
    maxRetriesPerRequest: queues ? null : 0,
    connectionName: connection.connectionName,
    disableClientInfo: true, // a user of the ACL without CLIENT SETINFO would be refused with each connection
    connectTimeout: connectTimeoutMs,
    ...(connection.commandTimeoutMs === undefined ? {} : { commandTimeout: connection.commandTimeoutMs }),
  };
  const login = openLogin(connection, connection.log);
  const redis = url.startsWith('unix:')
    ? new Server({ ...options, ...socketOf(url) }, login)
    : new Server(options, login, url);
  tellServer(redis, connection);
  return redis;
}

/** A connection, and each duplicate of it, that logs in with what is valid when it connects, and leaves replicas. */
class Server extends Redis {
  readonly #login: Login;

  constructor(options: RedisOptions, login: Login, url?: string) {
    // Not before the login is in its place. The types know no options without an address; they may be in the options.
    const manners = leavingReplicas(options.maxRetriesPerRequest === null);
    super(url as string, { ...options, ...manners, lazyConnect: true });
    this.#login = login;
    withLogin(this.options, login);
    this.options.lazyConnect = options.lazyConnect ?? false;
    this.on('error', forgetLogin);
    if (!this.options.lazyConnect) this.connect().catch(() => undefined);
  }

  override sendCommand(command: Command, ...rest: Rest): unknown {
    if (this.status !== 'ready' && this.options.enableOfflineQueue === false) this.#sayWhenRefused(command);
    return super.sendCommand(command, ...rest);
  }

  /** As BullMQ makes them for its blocking reads. */
  override duplicate(override: Partial<RedisOptions> = {}): Redis {
    return new Server({ ...this.options, ...override }, this.#login);
  }

  /** ioredis would name one of its options instead of what is the matter. */
  #sayWhenRefused(command: Command): void {
    const reject = command.reject;
    command.reject = (error) => {
      const isUnsent = error.message.startsWith("Stream isn't writeable");
      reject.call(command, isUnsent ? new Error(connectionProblem(this) ?? 'no connection to Redis') : error);
    };
  }
}

function socketOf(url: string): RedisOptions {
  const { pathname, searchParams } = new URL(url);
  return { path: decodeURIComponent(pathname), db: Number(searchParams.get('db') ?? 0) };
}
