export { closeRedis, connectForQueues, connectRedis, redactRedisUrl } from './connect.ts';
export type { RedisLog } from './connect.ts';
export { bullPrefix, redisKeys } from './redis-keys.ts';
