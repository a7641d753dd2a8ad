/** How a connection fares, as a check of `/readyz?verbose`. */
import type { Cluster } from 'ioredis';
import { createCondition } from '@llmproxy/telemetry';
import type { RedisClient } from './connect.ts';

/**
 * Follows a connection from now on.
 * @returns what to say of it: `ok`, since when and why there is none, or which masters of a cluster are away
 */
export function checkConnection(redis: RedisClient): () => string {
  const condition = createCondition();
  redis.on('ready', () => condition.ok());
  redis.on('error', (error: Error) => condition.failed(error.message || error.name));
  redis.on('close', () => {
    if (condition.isWell()) condition.failed('the connection was lost');
  });
  return () => {
    if (redis.status !== 'ready')
      return condition.isWell() ? `not connected (${redis.status})` : condition.found();
    const away = 'slots' in redis ? mastersAway(redis) : [];
    if (away.length > 0) return `a part of the cluster is away: ${away.join(', ')}`;
    return condition.found();
  };
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
