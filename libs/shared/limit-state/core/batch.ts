/** The words of a batch: what is asked of limits in Redis and what they answer. Plain data, made anew for each call. */

/** Limits of one scope. Undefined: unlimited. 0: blocks everything. */
export interface RateLimits {
  /** Refill of the token bucket, per second. */
  readonly requestsPerSecond?: number | undefined;
  /** Capacity of the token bucket; default: twice the refill, at least 1. */
  readonly burst?: number | undefined;
  /** In any sliding minute. */
  readonly requestsPerMinute?: number | undefined;
  /** In any sliding minute; integer. */
  readonly tokensPerMinute?: number | undefined;
  /** Requests being served at once. */
  readonly maxConcurrent?: number | undefined;
}

/** Tokens a key may use in a period. */
export interface Quota {
  readonly total: number;
  /** What was used before Redis knew of the key; read once. */
  readonly used: number;
  /** Start of the running period, ms since 1970; what is stored with an earlier start counts as 0. */
  readonly periodStartMs: number;
  /** End of the running period, ms since 1970; 0: it has none. Kept for those who reset quotas that nobody uses. */
  readonly periodEndMs: number;
  /** Would-be refusals are reported, not enforced. Use is counted all the same. */
  readonly shadow: boolean;
}

/** One owner of limits: everything, a key, a client address or a backend. */
export interface LimitScope {
  /** Its hash tag: `g`, `k:<key-id>`, `ip:<address>`, `b:<backend>`. Never a secret. */
  readonly tag: string;
  /** Left out by those who only look after what is stored: `reap`, `reset`. */
  readonly limits?: RateLimits | undefined;
  /** Would-be refusals by `limits` are reported, not enforced; such a request is not charged to them. */
  readonly shadow?: boolean | undefined;
  readonly quota?: Quota | undefined;
}

export type LimitName =
  'requests_per_second' | 'requests_per_minute' | 'tokens_per_minute' | 'max_concurrent' | 'quota';

/** What a request holds in one scope of the batch. */
export interface Hold {
  /** Index into the batch's scopes. */
  readonly scope: number;
  /** Sum of `holds`. */
  readonly flags: number;
}

export const holds = { requests: 1, tokens: 2, quota: 4, lease: 8 } as const;

/** An admitted request, as its leases are named. */
export interface Lease {
  /** Unique for each request. */
  readonly id: string;
  /** The estimate that was reserved. */
  readonly tokens: number;
  /** When it was admitted, by the clock of Redis. */
  readonly atMs: number;
  readonly holds: readonly Hold[];
}

/** Numbers in `scopes`, `alternatives` and `scope` are indexes into the batch's scopes. */
export type LimitOp =
  /** All of `scopes` and, where there are `alternatives`, the first of those that fits; or nothing at all. */
  | {
      readonly op: 'admit';
      readonly id: string;
      /** Estimate; an integer ≥ 0. */
      readonly tokens: number;
      readonly scopes: readonly number[];
      readonly alternatives?: readonly number[] | undefined;
    }
  /**
   * The end of a request: `used` (null: unknown, nothing is charged) replaces the estimate. Applied at most once. Where
   * the lease has expired before, `used` is still charged, unless this is a second try of the same settle.
   */
  | { readonly op: 'settle'; readonly lease: Lease; readonly used: number | null; readonly again: boolean }
  /** As though the request had never been admitted. */
  | { readonly op: 'undo'; readonly lease: Lease }
  /** The request goes on; its leases are extended. Expired ones stay expired. */
  | { readonly op: 'renew'; readonly lease: Lease }
  /**
   * What was admitted elsewhere, at `lease.atMs` and whatever the limits: `requests` requests and `lease.tokens` tokens in
   * all. A hold with a lease is of one request under way: it is taken over, once, and is from then on as though it had
   * been admitted here. A hold without is of requests that have ended; nobody will settle them. With `once` such a hold
   * is remembered for an hour by the id of the lease, which is not counted again meanwhile: for what may be told twice.
   */
  | { readonly op: 'charge'; readonly lease: Lease; readonly requests: number; readonly once: boolean }
  /** Ends up to `max` expired leases of a scope and gives back what they held. */
  | { readonly op: 'reap'; readonly scope: number; readonly max: number }
  /** Begins a quota period that the scope has not begun yet. Idempotent. */
  | { readonly op: 'reset'; readonly scope: number; readonly periodStartMs: number };

/** How long a lease of a gateway lasts without being renewed. */
export const leaseMs = 30_000;

export interface Batch {
  /** How long a lease lasts without being renewed. */
  readonly leaseMs: number;
  /** Each tag once. */
  readonly scopes: readonly LimitScope[];
  readonly ops: readonly LimitOp[];
}

/** The limit nearest to refusing, of those that are enforced. */
export interface Figure {
  readonly limit: number;
  /** Never negative. */
  readonly remaining: number;
  /** Until it is full again, if nothing else comes. */
  readonly resetMs: number;
}

export interface Refusal {
  /** Index into the batch's scopes. */
  readonly scope: number;
  readonly limit: LimitName;
}

export interface Admitted {
  readonly granted: true;
  /** Index into the batch's scopes, -1 where the request had no alternatives. */
  readonly alternative: number;
  readonly lease: Lease;
  readonly requests: Figure | null;
  readonly tokens: Figure | null;
  readonly shadowRefusals: readonly Refusal[];
}

export interface Refused extends Refusal {
  readonly granted: false;
  /** How long to wait until the same request fits, if nothing else comes; -1: it never fits. */
  readonly retryAfterMs: number;
  readonly requests: Figure | null;
  readonly tokens: Figure | null;
  readonly shadowRefusals: readonly Refusal[];
}

/** One per op and in its order: an admission, or for other ops how many scopes, leases or periods they changed. */
export type LimitReply = Admitted | Refused | number;

/** What is used of the limits of a scope; undefined where there is none. */
export interface ScopeUse {
  /** Requests of the last 60 s, rounded up. */
  readonly requests: number | undefined;
  /** Tokens of the last 60 s, rounded up. */
  readonly tokens: number | undefined;
  /** Level of the token bucket in thousandths of a request, rounded down; below 0 where more was admitted elsewhere. */
  readonly level: number | undefined;
  /** Used and reserved tokens of the quota. */
  readonly quota: number | undefined;
}

/** What a batch did. */
export interface Transacted {
  /** When, by the clock of Redis. */
  readonly nowMs: number;
  readonly replies: readonly LimitReply[];
  /** Of each scope of the batch and in their order, after all ops. */
  readonly used: readonly ScopeUse[];
}
