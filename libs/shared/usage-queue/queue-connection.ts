import type { QueueLog } from './queue-log.ts';
import { closeRedis, connectForQueues } from '@llmproxy/redis';
import type { RedisClient, RedisTarget } from '@llmproxy/redis';

/** The Redis a queue lives in: an address to connect to, or a client of the caller's, which stays the caller's to close. */
export type QueueRedis = { redis: RedisTarget } | { connection: RedisClient };

/** A client and how to let go of it. */
export interface QueueConnection {
  client: RedisClient;
  release(): Promise<void>;
}

/** A client whose commands fail at once while Redis is away, so that nobody waits for them. */
export function connectFailingFast(redis: QueueRedis): QueueConnection {
  const connectionName = 'llmproxy usage producer';
  return owned(redis, (target) => connectForQueues({ ...target, connectionName, whenDown: 'fail' }));
}

/** A client whose commands wait until Redis is back: what a consumer needs. It tells of connections made and lost. */
export function connectWaiting(redis: QueueRedis, log: QueueLog): QueueConnection {
  const connectionName = 'llmproxy usage consumer';
  return owned(redis, (target) =>
    connectForQueues({ ...target, connectionName, log: (level, message) => log[level]({}, message) }),
  );
}

/** Resolves when the client has no connection, at once if it has none now. */
export function untilGone(client: RedisClient): Promise<void> {
  if (client.status !== 'ready') return Promise.resolve();
  return new Promise((resolve) => client.once('close', () => resolve()));
}

function owned(redis: QueueRedis, connect: (target: RedisTarget) => RedisClient): QueueConnection {
  if ('connection' in redis) return { client: redis.connection, release: () => Promise.resolve() };
  const client = connect(redis.redis);
  return { client, release: () => closeRedis(client) };
}
