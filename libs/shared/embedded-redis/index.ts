export { startEmbeddedRedis } from './embedded.ts';
export { spawnRedisServer } from './spawn.ts';
