export { loadConfig } from './load-config.ts';
export { checkConfig } from './check-config.ts';
export { ConfigError } from './core/problem.ts';
export type { Problem } from './core/problem.ts';
export type { Backend, Config, Database, Key, KeyProvider, Reporter } from './core/resolve.ts';
