/**
 * A connection to a Redis Cluster with the manners of one to a single server. Two things differ by nature: `status` is
 * `ready` while any server answers, and a command depends on the one server that holds its key.
 */
import type { ClusterNode, ClusterOptions, Command, Redis } from 'ioredis';
import { Cluster } from 'ioredis';
import { backOff, connectTimeoutMs } from './timing.ts';
import type { RedisConnection } from './connect.ts';
import { forgetLogin, openLogin, withLogin, type Login } from './login.ts';
import { seedsOf } from './target.ts';
import { tellCluster } from './tell.ts';

/** @throws Error when the URL is not that of a cluster */
export function openCluster(connection: RedisConnection): Cluster {
  const { seeds, login } = seedsOf(connection.url);
  const { isEncrypted, ...credentials } = login;
  const options: ClusterOptions = {
    ...(connection.whenDown === 'queue' ? waiting : failingFast),
    clusterRetryStrategy: backOff,
    // A certificate names the host, not the address that the name stands for now.
    ...(isEncrypted ? { dnsLookup: (name, done) => done(null, name) } : {}),
    redisOptions: {
      ...credentials,
      ...(isEncrypted ? { tls: {} } : {}),
      connectionName: connection.connectionName,
      disableClientInfo: true,
      connectTimeout: connectTimeoutMs,
      ...(connection.commandTimeoutMs === undefined ? {} : { commandTimeout: connection.commandTimeoutMs }),
    },
  };
  const cluster = new MannerlyCluster(seeds, options, openLogin(connection, connection.log));
  tellCluster(cluster, connection);
  return cluster;
}

const retryMs = 100;
/** A lost subscription is missed for so long at most; one that is in place is left as it is. */
const resubscribeMs = 1000;
/** A server that is asked whether the cluster is well, and hangs, keeps us from asking another for so long. */
const readyCheckMs = 1000;
/** `close`: set once more for each connection that ends late. */
const betweenAttempts = ['reconnecting', 'close'];
/** What ioredis says of a command whose connection broke. */
const lostConnection = 'Connection is closed.';

/** A command whose server is away is tried again until it is served: there, or by a server that took over. */
const waiting = {
  maxRedirections: Infinity,
  retryDelayOnFailover: retryMs,
  retryDelayOnClusterDown: retryMs,
  // Without it, two servers that each send us to the other would be asked without end and without a pause.
  retryDelayOnMoved: retryMs / 2,
} satisfies ClusterOptions;

/** 0: rejected at once. A server that took over is still found: another one says where the key has moved. */
const failingFast = { retryDelayOnFailover: 0, retryDelayOnClusterDown: 0 } satisfies ClusterOptions;

type Rest = [stream?: never, node?: never];

class MannerlyCluster extends Cluster {
  readonly #seeds: ClusterNode[];
  readonly #login: Login;
  readonly #channels = new Set<string>();
  #resubscription: NodeJS.Timeout | undefined;
  #outcome: Promise<void> | undefined;
  #closing = false;

  constructor(seeds: ClusterNode[], options: ClusterOptions, login: Login) {
    super(seeds, { ...options, redisOptions: withLogin({ ...options.redisOptions }, login) });
    this.#seeds = seeds;
    this.#login = login;
    this.on('node error', forgetLogin);
    this.on('+node', (node: Redis) => {
      // From these options ioredis makes further connections to this server, when it has long been connected.
      withLogin(node.options, login);
      node.on('error', forgetLogin);
      // ioredis connects to a server with the first command for it, which would pay for that.
      node.connect().catch(() => undefined);
    });
    this.on('end', () => clearInterval(this.#resubscription));
  }

  override sendCommand(command: Command, ...rest: Rest): unknown {
    this.#remember(command);
    if (this.#closing) {
      command.reject(new Error(lostConnection));
      return command.promise;
    }
    const { redisOptions } = this.options;
    // From here, not only from when a server gets it.
    if (redisOptions?.commandTimeout !== undefined) command.setTimeout(redisOptions.commandTimeout);
    if (command.name === 'cluster') command.setTimeout(readyCheckMs);
    if (!this.#failsFast) {
      if (rest[1] === undefined) this.#sendAgainWhenLost(command, rest);
    } else if (this.status !== 'ready' && command.name !== 'cluster') {
      // ioredis's own way to say this, no offline queue, would also refuse while a single server is being connected to.
      command.reject(new Error('no connection to the Redis Cluster'));
      return command.promise;
    }
    return super.sendCommand(command, ...rest);
  }

  /**
   * Resolves when it is ready, rejects when no server answers or it is closed. When a server answers that the cluster
   * serves nobody, ioredis tries again but forgets the promise, for which BullMQ waits before it asks for another job.
   */
  override connect(): Promise<void> {
    if (!(#closing in this)) return super.connect(); // by the constructor of the parent
    this.#closing = false;
    this.#outcome ??= this.#readyOrEnd();
    return Promise.race([super.connect(), this.#outcome]);
  }

  override quit(...args: Parameters<Cluster['quit']>): Promise<'OK'> {
    this.#closing = true;
    return super.quit(...args);
  }

  override disconnect(reconnect = false): void {
    this.#closing = !reconnect;
    // Between two attempts ioredis would wait for the end of connections that there are none of, and so would commands.
    if (!reconnect && betweenAttempts.includes(this.status) && this.nodes().length === 0)
      this.status = 'wait';
    super.disconnect(reconnect);
  }

  /** As BullMQ makes them for its blocking reads. */
  override duplicate(seeds: ClusterNode[] = [], options: ClusterOptions = {}): Cluster {
    return new MannerlyCluster(
      seeds.length > 0 ? seeds : this.#seeds,
      { ...this.options, ...options },
      this.#login,
    );
  }

  #readyOrEnd(): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const settle = (): void => {
        this.off('ready', settle).off('end', settle);
        this.#outcome = undefined;
        if (this.status === 'end') reject(new Error(lostConnection));
        else resolve();
      };
      this.on('ready', settle).on('end', settle);
    });
  }

  get #failsFast(): boolean {
    return this.options.retryDelayOnFailover === 0;
  }

  /** ioredis retries what was under way to one server that went, but not when it was the last. */
  #sendAgainWhenLost(command: Command, rest: Rest): void {
    const reject = command.reject;
    command.reject = (error) => {
      const isAway = this.status !== 'ready' && this.status !== 'end';
      if (isAway && !this.#closing && error.message === lostConnection) super.sendCommand(command, ...rest);
      else reject.call(command, error);
    };
  }

  /** ioredis carries subscriptions from one server to another, but loses them when that one turns out to be away too. */
  #remember({ name, args }: Command): void {
    if (name !== 'subscribe' && name !== 'unsubscribe') return;
    const channels = args.flat().map(String);
    if (name === 'subscribe') for (const channel of channels) this.#channels.add(channel);
    else if (channels.length === 0) this.#channels.clear();
    else for (const channel of channels) this.#channels.delete(channel);
    this.#resubscription ??= setInterval(() => this.#subscribeAgain(), resubscribeMs).unref();
  }

  #subscribeAgain(): void {
    if (this.status !== 'ready' || this.#channels.size === 0) return;
    this.subscribe(...this.#channels).catch(() => undefined);
  }
}
