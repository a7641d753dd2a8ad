import { ConfigError } from './core/problem.ts';
import type { Config } from './core/resolve.ts';

/**
 * The Redis that the apps share their state in.
 * @param file where the config came from
 * @throws ConfigError when none is configured
 */
export function requiredRedis({ redis }: Config, file: string): { url: string; cluster: boolean } {
  const { url, cluster } = redis;
  if (url !== undefined) return { url, cluster };
  const message = 'is not set: the gateway shares its state in Redis. Set it, or LLMPROXY_REDIS_URL';
  throw new ConfigError([{ file, line: 0, column: 0, path: 'redis.url', message }]);
}
