/** From settings to what a connection is opened with: passwords and certificates become questions, asked each time. */
import type { TlsTexts } from '@llmproxy/client-login';
import { ConfigError } from './core/problem.ts';
import type { Config, RedisServer } from './core/resolve.ts';
import { readPassword, tlsReader } from './read-login.ts';

/** How a Redis is reached; the functions read their files anew with each call, and throw when they cannot. */
export interface RedisTarget {
  readonly url: string;
  readonly cluster: boolean;
  readonly username?: string;
  readonly password?: () => string;
  readonly tls?: () => TlsTexts;
}

/** What to open connections to this Redis with. */
export function redisTarget(server: RedisServer): RedisTarget {
  const { url, cluster, username, password, password_file: file } = server;
  const tls = tlsReader(server.tls);
  return {
    url,
    cluster,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: () => password }),
    ...(file !== undefined && { password: () => readPassword(file) }),
    ...(tls !== undefined && { tls }),
  };
}

/**
 * The Redis that the apps share their state in.
 * @param file where the config came from
 * @throws ConfigError when none is configured
 */
export function requiredRedis({ redis }: Config, file: string): RedisTarget {
  const { url } = redis;
  if (url !== undefined) return redisTarget({ ...redis, url });
  const message = 'is not set: LLMProxy keeps its state in Redis. Set it, or LLMPROXY_REDIS_URL';
  throw new ConfigError([{ file, line: 0, column: 0, path: 'redis.url', message }]);
}
