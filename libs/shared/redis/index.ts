export { closeRedis, connectForQueues, connectRedis, redactRedisUrl } from './connect.ts';
export type { RedisLog } from './connect.ts';
export { startEmbeddedRedis } from './embedded.ts';
export { bullPrefix, redisKeys } from './redis-keys.ts';
export { spawnRedisServer } from './spawn.ts';
export {
  followVerdicts,
  isHealthy,
  publishVerdict,
  readVerdicts,
  removeVerdicts,
} from './health-verdicts.ts';
export type { HealthVerdict } from './health-verdicts.ts';
