/**
 * A connection to a Redis Cluster with the manners of one to a single server. Two things differ by nature: `status` is
 * `ready` while any server answers, and a command depends on the one server that holds its key.
 */
import type { ClusterNode, ClusterOptions, Command, Redis } from 'ioredis';
import { Cluster } from 'ioredis';
import { backOff, connectTimeoutMs } from './timing.ts';
import type { RedisConnection } from './connect.ts';
import { seedsOf } from './target.ts';
import { tellCluster } from './tell.ts';

/** @throws Error when the URL is not that of a cluster */
export function openCluster(connection: RedisConnection): Cluster {
  const { seeds, login } = seedsOf(connection.url);
  const { isEncrypted, ...credentials } = login;
  const cluster = new MannerlyCluster(seeds, {
    ...(connection.whenDown === 'queue' ? waiting : failingFast),
    clusterRetryStrategy: backOff,
    // A certificate names the host, not the address that the name stands for now.
    ...(isEncrypted ? { dnsLookup: (name, done) => done(null, name) } : {}),
    redisOptions: {
      ...credentials,
      ...(isEncrypted ? { tls: {} } : {}),
      connectionName: connection.connectionName,
      connectTimeout: connectTimeoutMs,
      ...(connection.commandTimeoutMs === undefined ? {} : { commandTimeout: connection.commandTimeoutMs }),
    },
  });
  tellCluster(cluster, connection);
  return cluster;
}

const retryMs = 100;

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

class MannerlyCluster extends Cluster {
  constructor(seeds: ClusterNode[], options: ClusterOptions) {
    super(seeds, options);
    // ioredis connects to a server with the first command for it, which would pay for that.
    this.on('+node', (node: Redis) => void node.connect().catch(() => undefined));
  }

  override sendCommand(command: Command, ...rest: [stream?: never, node?: never]): unknown {
    const { redisOptions } = this.options;
    // From here, not only from when a server gets it.
    if (redisOptions?.commandTimeout !== undefined) command.setTimeout(redisOptions.commandTimeout);
    // ioredis's own way to say this, no offline queue, would also refuse while a single server is being connected to.
    const failsFast = this.options.retryDelayOnFailover === 0;
    if (failsFast && this.status !== 'ready' && command.name !== 'cluster') {
      command.reject(new Error('no connection to the Redis Cluster'));
      return command.promise;
    }
    return super.sendCommand(command, ...rest);
  }
}
