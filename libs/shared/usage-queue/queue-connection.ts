import { Redis, type Cluster } from 'ioredis';

/** The Redis a queue lives in: an address to connect to, or a client of the caller's, which stays the caller's to close. */
export type QueueRedis = { redisUrl: string } | { connection: Redis | Cluster };

/** A client and how to let go of it. */
export interface QueueConnection {
  client: Redis | Cluster;
  release(): void;
}

const reconnectMsMax = 2_000;
const retryStrategy = (times: number) => Math.min(50 * 2 ** Math.min(times, 6), reconnectMsMax);

/** A client whose commands fail at once while Redis is away, so that nobody waits for them. */
export function connectFailingFast(redis: QueueRedis): QueueConnection {
  return connect(redis, {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 2_000,
  });
}

/** A client whose commands wait until Redis is back: what a worker needs. */
export function connectWaiting(redis: QueueRedis): QueueConnection {
  return connect(redis, { maxRetriesPerRequest: null });
}

function connect(redis: QueueRedis, options: object): QueueConnection {
  if ('connection' in redis) return { client: redis.connection, release: () => undefined };
  const client = new Redis(redis.redisUrl, { ...options, retryStrategy });
  client.on('error', () => undefined); // who uses the client reports the outage, once
  return { client, release: () => client.disconnect() };
}
