import type { Limits } from './resolve-auth.ts';

/**
 * The limits of one key or backend: each of its own replaces the one of the scope around it. A burst belongs to its
 * rate, so an own `requests_per_second` without a burst does not take that of the scope. -1 lifts a limit.
 */
export function limitsOver(scope: Limits, own: Limits): Limits {
  const rate = own.requests_per_second === undefined ? scope : own;
  const { requests_per_minute, tokens_per_minute, max_concurrent } = { ...scope, ...own };
  return inForce({
    requests_per_second: rate.requests_per_second,
    burst_size: own.burst_size ?? rate.burst_size,
    requests_per_minute,
    tokens_per_minute,
    max_concurrent,
  });
}

const inForce = (limits: Limits): Limits =>
  Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== undefined && limit >= 0));
