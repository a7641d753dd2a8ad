/**
 * Smooth weighted round robin, as nginx does it: each available backend gains its weight, the richest is chosen and
 * pays the sum of the weights. Guarantee: over a full cycle each available backend is chosen exactly `weight` times,
 * spread as evenly as possible, and one is chosen whenever one is available.
 *
 * Source: nginx commit 52327e0627f4 ("Upstream: smooth weighted round-robin balancing"), 2012.
 */
import type { Strategy } from './strategy.ts';

/** Credit of each backend, in the order of the candidates. */
export type SmoothWeighted = readonly number[];

export const startSmoothWeighted = (count: number): SmoothWeighted => new Array<number>(count).fill(0);

export const smoothWeighted: Strategy<SmoothWeighted> = (credits, candidates) => {
  let chosen: number | undefined;
  let best = -Infinity;
  let total = 0;
  const next = candidates.map(({ weight, available }, index) => {
    const credit = credits[index] ?? 0;
    if (!available) return 0; // one that comes back starts even: a debt from before its absence proves nothing
    total += weight;
    if (credit + weight > best) {
      best = credit + weight;
      chosen = index;
    }
    return credit + weight;
  });
  if (chosen !== undefined) next[chosen] = best - total;
  return { chosen, state: next };
};
