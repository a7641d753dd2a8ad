/** What there is to do about one scope of limits, judged by what is stored of it. */

export interface StoredScope {
  /** Leases that have expired. */
  readonly expiredLeases: number;
  /** Leases that last longer than any made now: a clock has gone back. Reaping shortens them. */
  readonly overlongLeases: number;
  /** End of the quota period that is stored, ms since 1970; null where none ends. */
  readonly periodEndMs: number | null;
  /** Whether there are leases, expired or not, or a quota. */
  readonly hasState: boolean;
  /** When a gateway noted its use last, ms since 1970. */
  readonly lastUseMs: number;
}

export interface Duties {
  readonly reap: boolean;
  /**
   * Start of the period to begin: the end of the stored one, even where that was more than one period ago. A later
   * start than the running one would take what the running one has used; an earlier one is found out on admission.
   */
  readonly resetToMs: number | null;
  /** The scope need not be looked after any more. */
  readonly forget: boolean;
}

/** A gateway worker notes a use once per minute only: an older note tells that nothing was begun since. */
const quietMs = 120_000;

export function dutiesOf(scope: StoredScope, nowMs: number): Duties {
  const { expiredLeases, overlongLeases, periodEndMs, hasState, lastUseMs } = scope;
  return {
    reap: expiredLeases + overlongLeases > 0,
    resetToMs: periodEndMs !== null && periodEndMs <= nowMs ? periodEndMs : null,
    // A use to come was noted by a clock that has gone back since.
    forget: !hasState && Math.abs(nowMs - lastUseMs) > quietMs,
  };
}
