/** The limits of the config, in the limiter's words. */
import { randomUUID } from 'node:crypto';
import type { Config } from '@llmproxy/config';
import type { RateLimits } from '@llmproxy/limit-state';
import { openLimiter, type Limiter } from '@llmproxy/limits';
import type { Logger } from '@llmproxy/telemetry';
import { createPeriods } from '@llmproxy/time';
import type { Connections } from './connections.ts';
import type { LimitRules, ScopeRules } from './limit-scopes.ts';

type Limits = Config['backends'][number]['limits'];

export function limitRules({ rate_limit: limit, backends }: Config): LimitRules {
  const shadowBackends = limit.per_backend.mode === 'shadow';
  const limited = backends.filter((backend) => isLimiting(backend.limits));
  return {
    global: isLimiting(limit.global) ? rulesOf(limit.global) : undefined,
    perKey: limit.per_key.enabled ? rulesOf(limit.per_key) : undefined,
    perIp: isLimiting(limit.per_ip) ? rulesOf(limit.per_ip) : undefined,
    backends: new Map(
      limited.map(({ name, limits }) => [name, { limits: limitsOf(limits), shadow: shadowBackends }]),
    ),
    quotaShadow: limit.quota.mode === 'shadow',
    periods: createPeriods(limit.time_zone),
    nowMs: Date.now,
  };
}

/** Undefined when nothing of the config can limit a request: keys alone may bring limits, whenever they come from. */
export async function openLimits(
  config: Config,
  { limits: redis }: Pick<Connections, 'limits'>,
  { log, onCall }: { log: Logger; onCall(ok: boolean, tookMs: number): void },
): Promise<Limiter | undefined> {
  const { rate_limit: limit, auth, backends, server } = config;
  const scopes = [limit.global, limit.per_ip, ...backends.map((backend) => backend.limits)];
  if (!limit.enabled || !(auth.enabled || scopes.some(isLimiting))) return undefined;
  return openLimiter({
    redis,
    worker: randomUUID(),
    onFailure: limit.on_redis_failure,
    deadlineMs: limit.redis_timeout,
    workersAtLeast: server.workers,
    log: (level, message) => log[level](message),
    onCall,
  });
}

const rulesOf = (scope: Config['rate_limit']['global']): ScopeRules => ({
  limits: limitsOf(scope),
  shadow: scope.mode === 'shadow',
});

const limitsOf = (limits: Limits): RateLimits => ({
  requestsPerSecond: limits.requests_per_second,
  burst: limits.burst_size,
  requestsPerMinute: limits.requests_per_minute,
  tokensPerMinute: limits.tokens_per_minute,
  maxConcurrent: limits.max_concurrent,
});

/** Whether it limits anything. */
function isLimiting(limits: Limits & { readonly enabled?: boolean }): boolean {
  if (limits.enabled === false) return false;
  return Object.values(limitsOf(limits)).some((limit) => limit !== undefined);
}
