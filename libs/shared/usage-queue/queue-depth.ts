import { bullPrefix, type RedisClient } from '@llmproxy/redis';

/** Jobs of a queue not finished yet: waiting, being worked on, or waiting for their next attempt. One round trip. */
export async function queueDepth(connection: RedisClient, queue: string): Promise<number> {
  const key = (part: string) => `${bullPrefix}:${queue}:${part}`;
  const counts = await Promise.all([
    connection.llen(key('wait')),
    connection.llen(key('paused')),
    connection.llen(key('active')),
    connection.zcard(key('delayed')),
    connection.zcard(key('prioritized')),
  ]);
  return counts.reduce((sum, count) => sum + count, 0);
}
