/** When a backend's probes change what is thought of it. */

export interface Health {
  healthy: boolean;
  /** Latest probes in a row that speak against `healthy`. */
  streak: number;
}

export interface Thresholds {
  /** Failures in a row that make a healthy backend unhealthy; at least 1. */
  unhealthyThreshold: number;
  /** Successes in a row that make an unhealthy backend healthy; at least 1. */
  healthyThreshold: number;
}

/**
 * Before the first probe: healthy until the contrary is shown. So a first success confirms it at once, and a first
 * failure counts towards `unhealthyThreshold` like any other.
 */
export const unprobed: Health = { healthy: true, streak: 0 };

/**
 * What is thought of a backend after one more probe.
 *
 * - healthy: a success clears the streak; the `unhealthyThreshold`th failure in a row makes it unhealthy.
 * - unhealthy: a failure clears the streak; the `healthyThreshold`th success in a row makes it healthy.
 */
export function afterProbe({ healthy, streak }: Health, ok: boolean, rules: Thresholds): Health {
  if (ok === healthy) return { healthy, streak: 0 };
  const threshold = healthy ? rules.unhealthyThreshold : rules.healthyThreshold;
  return streak + 1 >= threshold ? { healthy: ok, streak: 0 } : { healthy, streak: streak + 1 };
}
