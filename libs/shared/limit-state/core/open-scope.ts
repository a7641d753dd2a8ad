/** A scope of a batch while its ops run: what is stored, as of now, and whether it has changed. */
import type { LimitScope, ScopeUse } from './batch.ts';
import { expiredLeases, has, leaseName, overlongLeases, termsOf, type LeaseTerms } from './leases.ts';
import { currentQuota, isBegunAhead, settledQuota, type QuotaState } from './quota.ts';
import { amended, charged, emptyWindow, rolled, windowUsed, type SlidingWindow } from './sliding-window.ts';
import { refilled, taken, unusedBucket, type Bucket, type BucketRules } from './token-bucket.ts';
import { burstOf, hasRates } from './wire.ts';

/** Rates of a scope as stored. */
export interface Rates {
  readonly bucket: Bucket;
  readonly requests: SlidingWindow;
  readonly tokens: SlidingWindow;
}

const unusedRates: Rates = { bucket: unusedBucket, requests: emptyWindow, tokens: emptyWindow };

export interface StoredScope {
  readonly rates?: Rates | undefined;
  /** Changed in place: a copy for each request would cost as much as there are requests under way. */
  readonly leases: Map<string, number>;
  readonly quota?: QuotaState | undefined;
  /** Ids of charges that count once; Redis forgets each after an hour. Changed in place. */
  readonly charged?: Set<string> | undefined;
}

export interface OpenScope {
  readonly rules: LimitScope;
  /** Undefined: requests per second are not limited. */
  readonly bucketRules: BucketRules | undefined;
  /** Undefined: the scope has no rates, or nothing is stored of a scope that is looked after. */
  rates: Rates | undefined;
  ratesChanged: boolean;
  readonly leases: Map<string, number>;
  /** Whether expired leases were looked for. */
  isPurged: boolean;
  quota: QuotaState | undefined;
  quotaChanged: boolean;
  charged: Set<string> | undefined;
}

export function openScope(rules: LimitScope, stored: StoredScope | undefined, nowMs: number): OpenScope {
  const { limits } = rules;
  const rps = limits?.requestsPerSecond;
  const bucketRules = rps === undefined || !limits ? undefined : { rps, burst: burstOf(limits) };
  const { leases, charged }: StoredScope = stored ?? { leases: new Map() };
  return {
    rules,
    bucketRules,
    rates: currentRates(rules, stored?.rates, bucketRules, nowMs),
    // What a clock that has gone back wrote is corrected for good, by a refusal too.
    ratesChanged: isAhead(stored?.rates, nowMs),
    leases,
    isPurged: false,
    quota: currentQuota(stored?.quota, rules.quota, { inFlight: leases.size, nowMs }),
    quotaChanged: isBegunAhead(stored?.quota, rules.quota, nowMs),
    charged,
  };
}

/** What is to be stored; rates and quota that did not change stay as they were. */
export const closeScope = (scope: OpenScope, stored: StoredScope | undefined): StoredScope => ({
  rates: scope.ratesChanged ? scope.rates : stored?.rates,
  leases: scope.leases,
  quota: scope.quotaChanged ? scope.quota : stored?.quota,
  charged: scope.charged,
});

function currentRates(
  { limits }: LimitScope,
  stored: Rates | undefined,
  bucketRules: BucketRules | undefined,
  nowMs: number,
): Rates | undefined {
  if (limits === undefined ? stored === undefined : !hasRates(limits)) return undefined;
  const { bucket, requests, tokens } = stored ?? unusedRates;
  return {
    bucket: bucketRules
      ? refilled(bucket, bucketRules, nowMs)
      : { ...bucket, atMs: Math.min(bucket.atMs, nowMs) },
    requests: rolled(requests, nowMs),
    tokens: rolled(tokens, nowMs),
  };
}

const isAhead = (rates: Rates | undefined, nowMs: number): boolean =>
  rates !== undefined && Math.max(rates.bucket.atMs, rates.requests.startMs, rates.tokens.startMs) > nowMs;

/** Counts requests and tokens, or gives them back (negative) in the window of `atMs`. */
export function count(scope: OpenScope, requests: number, tokens: number, atMs: number): void {
  const { rates, bucketRules } = scope;
  if (rates === undefined) return;
  scope.rates = {
    bucket: bucketRules && requests !== 0 ? taken(rates.bucket, bucketRules, requests) : rates.bucket,
    requests: amended(rates.requests, requests, atMs),
    tokens: amended(rates.tokens, tokens, atMs),
  };
  scope.ratesChanged = true;
}

/** Counts what was admitted elsewhere. */
export function countElsewhere(scope: OpenScope, requests: number, terms: LeaseTerms, nowMs: number): void {
  const { rates, bucketRules } = scope;
  const { flags, atMs, tokens } = terms;
  if (rates !== undefined && has(flags, 'requests')) {
    scope.rates = {
      bucket: bucketRules ? taken(rates.bucket, bucketRules, requests) : rates.bucket,
      requests: charged(rates.requests, requests, atMs, nowMs),
      tokens: has(flags, 'tokens') ? charged(rates.tokens, tokens, atMs, nowMs) : rates.tokens,
    };
    scope.ratesChanged = true;
  }
  if (has(flags, 'quota') && scope.quota !== undefined) {
    const what = has(flags, 'lease') ? 'reserved' : 'used';
    scope.quota = { ...scope.quota, [what]: Math.max(0, scope.quota[what] + tokens) };
    scope.quotaChanged = true;
  }
}

/** Replaces an estimate by what was used. */
export function replaceEstimate(scope: OpenScope, { flags, tokens, atMs }: LeaseTerms, used: number): void {
  if (has(flags, 'tokens')) count(scope, 0, used - tokens, atMs);
  if (has(flags, 'quota') && scope.quota !== undefined) {
    scope.quota = settledQuota(scope.quota, tokens, used);
    scope.quotaChanged = true;
  }
}

export const hold = (scope: OpenScope, id: string, terms: LeaseTerms, expiryMs: number): void =>
  void scope.leases.set(leaseName(id, terms), expiryMs);

export interface Purge {
  readonly nowMs: number;
  readonly leaseMs: number;
  readonly max: number;
}

/** Ends up to `max` expired leases and gives back what they held; returns how many. */
export function purge(scope: OpenScope, { nowMs, leaseMs, max }: Purge): number {
  const { leases } = scope;
  for (const name of overlongLeases(leases, nowMs + leaseMs, max)) leases.set(name, nowMs + leaseMs);
  const names = expiredLeases(leases, nowMs, max);
  for (const name of names) {
    leases.delete(name);
    replaceEstimate(scope, termsOf(name), 0);
  }
  return names.length;
}

export function useOf({ rules, rates, bucketRules, quota }: OpenScope, nowMs: number): ScopeUse {
  const { requestsPerMinute: rpm, tokensPerMinute: tpm } = rules.limits ?? {};
  return {
    requests: rpm === undefined || !rates ? undefined : Math.ceil(windowUsed(rates.requests, nowMs)),
    tokens: tpm === undefined || !rates ? undefined : Math.ceil(windowUsed(rates.tokens, nowMs)),
    level: bucketRules === undefined || !rates ? undefined : Math.floor(rates.bucket.level),
    quota: rules.quota === undefined || !quota ? undefined : quota.used + quota.reserved,
  };
}
