/** When a failed delivery is tried again. */

export interface RetrySchedule {
  /** Longest pause after the first failure, in ms; each further failure doubles it. */
  firstMs: number;
  /** No pause is longer than this, in ms, unless the receiver asks for more. */
  capMs: number;
}

/** 5 s, 10 s, 20 s … 10 min: 8 attempts last about 10 minutes, 30 attempts about 4 hours. */
export const webhookSchedule: RetrySchedule = { firstMs: 5_000, capMs: 600_000 };

/** 1 s, 2 s, 4 s … 1 min: a database that is back is written to within a minute. */
export const databaseSchedule: RetrySchedule = { firstMs: 1_000, capMs: 60_000 };

// A receiver may ask for a longer pause, but not postpone deliveries for days by mistake.
const retryAfterMsMax = 60 * 60 * 1_000;

export interface FailedAttempt {
  /** 1 for the first attempt. */
  attempt: number;
  /** In [0, 1): spreads deliveries that failed together over the second half of the pause. */
  random: number;
  /** What the receiver asked for in `Retry-After`. */
  retryAfterMs?: number | undefined;
}

/** The pause before the next attempt, in ms. */
export function retryDelayMs(failed: FailedAttempt, schedule: RetrySchedule): number {
  const { attempt, random, retryAfterMs = 0 } = failed;
  // Beyond 2^30 the cap has long been reached, and the power would overflow to Infinity.
  const longestMs = Math.min(schedule.firstMs * 2 ** Math.min(attempt - 1, 30), schedule.capMs);
  const jitteredMs = Math.round(longestMs * (0.5 + random / 2));
  return Math.max(jitteredMs, Math.min(retryAfterMs, retryAfterMsMax));
}

/** Reads `Retry-After`: seconds or an HTTP date. Undefined when it is absent, malformed or past. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  const pauseMs = /^\s*\d+\s*$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - nowMs;
  return pauseMs > 0 ? pauseMs : undefined;
}
