/** Which Redis a command of the CLI talks to: the configured one, or that of a running `llmproxy start`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { redisTarget, type Config } from '@llmproxy/config';
import type { RedisTarget } from '@llmproxy/redis';

const noteIn = (dataDir: string): string => join(dataDir, 'embedded-redis.url');

/** Lets later commands find the embedded Redis of this data folder. */
export function noteEmbeddedRedis(dataDir: string, url: string): void {
  writeFileSync(noteIn(dataDir), url, { mode: 0o600 });
}

/** @throws Error saying what to do when the config names no Redis and none was ever embedded for its data folder */
export function redisOf(config: Config): RedisTarget {
  const { url } = config.redis;
  if (url !== undefined) return redisTarget({ ...config.redis, url });
  try {
    return { url: readFileSync(noteIn(config.data_dir), 'utf8').trim() };
  } catch {
    throw new Error(
      `the config names no redis.url, and no "llmproxy start" has run with the data folder ${config.data_dir}. ` +
        'Set redis.url or LLMPROXY_REDIS_URL, or run this where "llmproxy start" runs.',
    );
  }
}
