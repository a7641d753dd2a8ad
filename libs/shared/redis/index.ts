export { closeRedis, connectForQueues, connectRedis } from './connect.ts';
export type { RedisClient, RedisConnection } from './connect.ts';
export { followChannel, type Subscription } from './follow-channel.ts';
export { bullPrefix, redisKeys } from './redis-keys.ts';
export { redactRedisUrl } from './target.ts';
export type { RedisTarget } from './target.ts';
export type { RedisLog } from './tell.ts';
