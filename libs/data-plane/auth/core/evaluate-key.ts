/** Whether a key that was found may be used now: the same rules in the same order for every source. */
import type { KeyQuota, KeyTerms } from './key-terms.ts';
import type { Outcome } from './outcomes.ts';

/** Start of the quota period that holds `nowMs`; both in ms since 1970 UTC. */
export type QuotaPeriodStart = (period: KeyQuota['period'], nowMs: number) => number;

/**
 * Status, start, end, denied addresses, allowed addresses, quota, balance: the first that speaks against the key
 * decides. Where an address list is set, a client whose address is unreadable is refused.
 * @param nowMs ms since 1970 UTC
 * @param ip address of the client
 */
export function evaluateKey(
  terms: KeyTerms,
  nowMs: number,
  ip: string,
  quotaPeriodStart: QuotaPeriodStart,
): Outcome {
  return (
    byStatus(terms) ??
    byTime(terms, nowMs) ??
    byAddress(terms, ip) ??
    byAmount(terms, nowMs, quotaPeriodStart) ??
    'active'
  );
}

function byStatus({ status, unreadable }: KeyTerms): Outcome | undefined {
  if (status !== 'active') return status;
  return unreadable.length > 0 ? 'disabled' : undefined;
}

function byTime({ startsAtMs, expiresAtMs }: KeyTerms, nowMs: number): Outcome | undefined {
  if (startsAtMs !== null && nowMs < startsAtMs) return 'not_started';
  return expiresAtMs !== null && nowMs >= expiresAtMs ? 'expired' : undefined;
}

function byAddress({ deniedIps, allowedIps }: KeyTerms, ip: string): Outcome | undefined {
  if (deniedIps !== null && deniedIps.includes(ip) !== false) return 'ip_denied';
  return allowedIps !== null && allowedIps.includes(ip) !== true ? 'ip_denied' : undefined;
}

function byAmount(
  { quota, balance }: KeyTerms,
  nowMs: number,
  quotaPeriodStart: QuotaPeriodStart,
): Outcome | undefined {
  if (quota !== null && isUsedUp(quota, nowMs, quotaPeriodStart)) return 'quota_exceeded';
  return balance !== null && balance <= 0 ? 'quota_exceeded' : undefined;
}

/** By the source's own number; what the gateway itself has counted is the limiter's to judge. */
function isUsedUp(quota: KeyQuota, nowMs: number, quotaPeriodStart: QuotaPeriodStart): boolean {
  if (quota.used < quota.total) return false;
  if (quota.total === 0 || quota.lastResetAtMs === null || quota.period === 'never') return true;
  return quota.lastResetAtMs >= quotaPeriodStart(quota.period, nowMs);
}
