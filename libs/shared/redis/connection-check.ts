/** How a connection fares: as a check of `/readyz?verbose`, and as the cause that whoever misses it tells. */
import type { Cluster } from 'ioredis';
import { createCondition, type Condition } from '@llmproxy/telemetry';
import type { RedisClient } from './connect.ts';

interface Followed {
  readonly condition: Condition;
  cause: string;
}

/** One for each connection, begun when it is made: who asks later misses nothing. */
const connections = new WeakMap<RedisClient, Followed>();

/**
 * Follows a connection from now on, or from when it was first followed.
 * @returns what to say of it: `ok`, since when and why there is none, or which masters of a cluster are away
 */
export function checkConnection(redis: RedisClient): () => string {
  const { condition } = followed(redis);
  return () => {
    if (redis.status !== 'ready')
      return condition.isWell() ? `not connected (${redis.status})` : condition.found();
    const away = 'slots' in redis ? mastersAway(redis) : [];
    if (away.length > 0) return `a part of the cluster is away: ${away.join(', ')}`;
    return condition.found();
  };
}

/** `no connection to Redis: <cause>`; undefined while there is one, and before the first attempt has failed. */
export function connectionProblem(redis: RedisClient): string | undefined {
  const { condition, cause } = followed(redis);
  return redis.status === 'ready' || condition.isWell() ? undefined : `no connection to Redis: ${cause}`;
}

function followed(redis: RedisClient): Followed {
  const known = connections.get(redis);
  if (known !== undefined) return known;
  const follow: Followed = { condition: createCondition(), cause: '' };
  const failed = (cause: string): void => {
    follow.cause = cause;
    follow.condition.failed(cause);
  };
  connections.set(redis, follow);
  redis.on('ready', () => follow.condition.ok());
  redis.on('error', (error: Error) => failed(causeOf(error)));
  redis.on('close', () => {
    if (follow.condition.isWell()) failed('the connection was lost');
  });
  return follow;
}

/** A cluster says only that no server answered; what the last of them said is in the error. */
function causeOf(error: Error): string {
  const told = 'lastNodeError' in error && error.lastNodeError instanceof Error ? error.lastNodeError : error;
  return told.message || told.name;
}

/** Masters that hold slots and to which there is no connection, as `host:port`. */
function mastersAway(cluster: Cluster): string[] {
  const masters = new Set(cluster.slots.flatMap(([master]) => master ?? []));
  for (const { status, options } of cluster.nodes('master'))
    if (status === 'ready') masters.delete(`${options.host}:${options.port}`);
  // ioredis looks for a server that went only when it has a command for it: the next one to ask is told anew.
  if (masters.size > 0) cluster.refreshSlotsCache();
  return [...masters].sort();
}
