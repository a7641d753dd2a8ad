/** When a backend is probed. All times in ms. */

export interface ProbeTiming {
  intervalMs: number;
  /** Random part of the interval, 0 to 1. */
  jitter: number;
}

/** How long after its tick a probe is sent, so that those of many backends, started together, spread out. */
export function probeDelay({ intervalMs, jitter }: ProbeTiming, random: number): number {
  return Math.round(intervalMs * jitter * random);
}

// Short enough that no regular probe falls into it, except with a jitter near 1, which asks for irregular ones.
const gapShareMin = 0.1;

/** How soon after a probe another one is one too many, as when several schedulers start at once. */
export function shortestGap({ intervalMs, jitter }: ProbeTiming): number {
  return Math.max(1, Math.round(intervalMs * Math.max(gapShareMin, (1 - jitter) / 2)));
}
