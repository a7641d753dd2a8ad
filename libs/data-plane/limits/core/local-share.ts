/** What one worker may grant by itself: what Redis said last to be left, divided by the workers that were alive then. */
import { burstOf, type LimitName, type LimitScope, type Quota, type RateLimits } from '@llmproxy/limit-state';
import { stillUsed, type KnownUse } from './known-use.ts';

export interface ShareOf {
  /** That share the limits; at least 1. */
  readonly workers: number;
  /** Undefined: Redis has not spoken of the scope lately. */
  readonly known: KnownUse | undefined;
  /** Requests under way that this worker holds in Redis. */
  readonly open: number;
  /** Monotonic. */
  readonly nowMs: number;
}

/** The scope as it limits what this worker grants by itself. */
export function localShare(scope: LimitScope, of: ShareOf): LimitScope {
  const { tag, limits, shadow = false, quota } = scope;
  return {
    tag,
    limits: limits === undefined ? {} : sharedLimits(limits, of),
    shadow,
    quota: quota && sharedQuota(quota, of),
  };
}

/**
 * The local share of a limit. Where anything is left each worker may have one: else small limits would block everything.
 * What is below 1 from the start, a rate of one request in ten seconds for instance, is not divided.
 */
export const share = (left: number, workers: number): number =>
  left < 1 ? Math.max(0, left) : Math.max(1, Math.floor(left / workers));

function sharedLimits(limits: RateLimits, of: ShareOf): RateLimits {
  const { requestsPerSecond, requestsPerMinute, tokensPerMinute, maxConcurrent } = limits;
  const { workers, known, open, nowMs } = of;
  const ageMs = nowMs - (known?.atMs ?? nowMs);
  const ofMinute = (limit: number | undefined, used: number | undefined): number | undefined =>
    limit === undefined ? undefined : share(Math.floor(limit - stillUsed(used, ageMs)), workers);
  return {
    requestsPerSecond: requestsPerSecond === undefined ? undefined : share(requestsPerSecond, workers),
    burst: sharedBurst(limits, of),
    requestsPerMinute: ofMinute(requestsPerMinute, known?.requests),
    tokensPerMinute: ofMinute(tokensPerMinute, known?.tokens),
    maxConcurrent:
      maxConcurrent === undefined ? undefined : Math.max(0, share(maxConcurrent, workers) - open),
  };
}

/** 0 would stand for the default. */
const noBurst = 0.001;

function sharedBurst(limits: RateLimits, { workers, known, nowMs }: ShareOf): number | undefined {
  const { requestsPerSecond: rps } = limits;
  if (rps === undefined) return undefined;
  const full = burstOf(limits);
  const level = known?.level === undefined ? full : (known.level + (nowMs - known.atMs) * rps) / 1000;
  return full < 1 ? full : Math.max(noBurst, share(Math.floor(Math.min(full, level)), workers));
}

/** What was left of the period, divided; what this worker grants from then on counts against that. */
const sharedQuota = (quota: Quota, { workers, known }: ShareOf): Quota => ({
  ...quota,
  total: Math.floor(Math.max(0, quota.total - spentOf(quota, known)) / workers),
  used: 0,
});

function spentOf(quota: Quota, known: KnownUse | undefined): number {
  if (known?.quota === undefined) return quota.used;
  return known.periodStartMs === quota.periodStartMs ? known.quota : 0;
}

/** Whether a request does not fit a limit at any time, whoever counts. */
export function neverFits(
  scope: LimitScope,
  limit: LimitName,
  tokens: number,
  known: KnownUse | undefined,
): boolean {
  const { limits = {}, quota } = scope;
  if (limit === 'quota') {
    return quota === undefined || spentOf(quota, known) + Math.max(1, tokens) > quota.total;
  }
  if (limit === 'requests_per_second' && (limits.requestsPerSecond ?? 0) > 0) return burstOf(limits) < 1;
  const needed = limit === 'tokens_per_minute' ? Math.max(1, tokens) : 1;
  return (limits[settingOf[limit]] ?? 0) < needed;
}

const settingOf = {
  requests_per_second: 'requestsPerSecond',
  requests_per_minute: 'requestsPerMinute',
  tokens_per_minute: 'tokensPerMinute',
  max_concurrent: 'maxConcurrent',
} as const;
