/** Care for limits in Redis, with what it did counted and logged. */
import { openQuotaReset, type QuotaReset } from '@llmproxy/quota-reset';
import type { RedisTarget } from '@llmproxy/redis';
import type { Logger } from '@llmproxy/telemetry';
import type { Registry } from 'prom-client';
import { limitMetrics } from './metrics.ts';

export interface LimitsOptions {
  registry: Registry;
  redis: RedisTarget;
  log: Logger;
}

export function openLimits({ registry, redis, log }: LimitsOptions): QuotaReset {
  const metrics = limitMetrics(registry);
  return openQuotaReset({
    redis,
    onReaped: (leases) => {
      metrics.onReaped(leases);
      log.info({ leases }, 'leases that nobody had renewed were ended');
    },
    onReset: (tag, periodStartMs) => {
      metrics.onReset(tag, periodStartMs);
      log.info(
        { key_id: tag.replace(/^k:/, ''), since: new Date(periodStartMs).toISOString() },
        'quota reset',
      );
    },
    log: (level, message) => log[level](message),
  });
}
