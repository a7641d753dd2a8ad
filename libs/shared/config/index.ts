export { loadConfig } from './load-config.ts';
export { checkConfig } from './check-config.ts';
export { redisTarget, requiredRedis } from './redis-target.ts';
export { tlsReader } from './read-login.ts';
export { ConfigError } from './core/problem.ts';
export type { Problem } from './core/problem.ts';
export { limitsOver } from './core/limits-over.ts';
export type { Backend, Cache, Config, Database, Reporter } from './core/resolve.ts';
export type { Hook, Key, KeyProvider, Limits } from './core/resolve-auth.ts';
