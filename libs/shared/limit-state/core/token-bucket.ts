/** A bucket that starts full. Its level is in thousandths of a request: whole rates need no fractions, so Lua agrees. */
import { never } from './sliding-window.ts';

export interface Bucket {
  readonly level: number;
  /** When it had that level; 0: never used. */
  readonly atMs: number;
}

export interface BucketRules {
  /** Refill per second. */
  readonly rps: number;
  /** Capacity. */
  readonly burst: number;
}

export const unusedBucket: Bucket = { level: 0, atMs: 0 };

export function refilled({ level, atMs }: Bucket, { rps, burst }: BucketRules, nowMs: number): Bucket {
  const full = burst * 1000;
  const raised = atMs === 0 ? full : level + Math.max(0, nowMs - atMs) * rps;
  return { level: Math.min(full, raised), atMs: nowMs };
}

/** How long until one request fits, if nothing else comes; 0: it fits, -1: it never will. `bucket` is refilled. */
export function bucketWaitMs({ level }: Bucket, { rps, burst }: BucketRules): number {
  if (rps <= 0 || burst < 1) return never;
  return level >= 1000 ? 0 : Math.ceil((1000 - level) / rps);
}

/** `requests` < 0 gives back; never more than full. */
export function taken(bucket: Bucket, { burst }: BucketRules, requests: number): Bucket {
  return { level: Math.min(burst * 1000, bucket.level - 1000 * requests), atMs: bucket.atMs };
}

export function bucketLeft(
  { level }: Bucket,
  { rps, burst }: BucketRules,
): { remaining: number; resetMs: number } {
  const resetMs = rps > 0 ? Math.ceil((burst * 1000 - level) / rps) : 0;
  return { remaining: level / 1000, resetMs };
}
