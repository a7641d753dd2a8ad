/** The copy of the built-in store's keys, with what was done from it counted and logged. */
import type { Config } from '@llmproxy/config';
import { copyFileIn, openKeyCopy, type KeyCopyKeeper } from '@llmproxy/key-copy';
import type { RedisTarget } from '@llmproxy/redis';
import type { Logger } from '@llmproxy/telemetry';
import type { Registry } from 'prom-client';
import { keyMetrics } from './metrics.ts';

export interface KeysOptions {
  registry: Registry;
  config: Config;
  redis: RedisTarget;
  log: Logger;
  /** Whether Redis may throw keys away by itself. */
  evicts(): boolean;
}

export function openKeys({ registry, config, redis, log, evicts }: KeysOptions): KeyCopyKeeper {
  const path = copyFileIn(config.data_dir);
  const keeper = openKeyCopy({
    redis,
    path,
    evicts,
    onRestored(keyIds) {
      onRestored(keyIds.length);
      log.warn({ key_ids: keyIds }, 'Redis had lost keys; they are restored');
    },
    onRemovedAgain: (keyIds) =>
      log.warn({ key_ids: keyIds }, 'Redis had keys again that were removed; they are removed again'),
    onDoubt: (keyIds) =>
      log.error(
        { key_ids: keyIds, copy: path },
        'keys are missing from Redis and may have been removed or disabled before: see "llmproxy keys restore"',
      ),
    onDiskProblem: (cause) => log.error({ cause, copy: path }, 'the copy of the keys cannot be kept on disk'),
  });
  const { onRestored } = keyMetrics(registry, () => keeper.inDoubt());
  return keeper;
}
