/** What one worker may grant by itself: limits divided by the workers that were alive when Redis last answered. */
import type { LimitScope, Quota, RateLimits } from '@llmproxy/limit-state';

/** What is known of a quota from the last answer of Redis. */
export interface KnownQuota {
  /** Used and reserved. */
  readonly spent: number;
  readonly periodStartMs: number;
}

/** @param workers at least 1 */
export function localShare(scope: LimitScope, workers: number, known: KnownQuota | undefined): LimitScope {
  const { tag, limits = {}, shadow = false, quota } = scope;
  return {
    tag,
    limits: sharedLimits(limits, workers),
    shadow,
    quota: quota && sharedQuota(quota, workers, known),
  };
}

function sharedLimits(limits: RateLimits, workers: number): RateLimits {
  return {
    requestsPerSecond: share(limits.requestsPerSecond, workers),
    burst: share(limits.burst, workers),
    requestsPerMinute: share(limits.requestsPerMinute, workers),
    tokensPerMinute: share(limits.tokensPerMinute, workers),
    maxConcurrent: share(limits.maxConcurrent, workers),
  };
}

/** Where something is allowed, each worker allows at least one: else small limits would block everything. */
const share = (limit: number | undefined, workers: number): number | undefined =>
  limit === undefined ? undefined : limit < 1 ? limit : Math.max(1, Math.floor(limit / workers));

/** What was left of the period, divided; what this worker grants from now on counts against that. */
function sharedQuota(quota: Quota, workers: number, known: KnownQuota | undefined): Quota {
  const spent = known?.periodStartMs === quota.periodStartMs ? known.spent : known ? 0 : quota.used;
  return { ...quota, total: Math.floor(Math.max(0, quota.total - spent) / workers), used: 0 };
}
