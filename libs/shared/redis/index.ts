export { closeRedis, connectForQueues, connectRedis } from './connect.ts';
export type { RedisClient, RedisConnection } from './connect.ts';
export { evictionRefusal, type Eviction } from './eviction.ts';
export { followChannel, type Subscription } from './follow-channel.ts';
export { bullPrefix, redisKeys } from './redis-keys.ts';
export { redactRedisUrl } from './target.ts';
export type { RedisTarget } from './target.ts';
export type { RedisLog } from './tell.ts';
export { openEvictionWatch, readEviction, watchEviction, type EvictionWatch } from './watch-eviction.ts';
