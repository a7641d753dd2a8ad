/** An admitted request until it is settled: what Redis holds for it, and what was granted without Redis. */
import type { Held } from './gathering.ts';

/** What a granted request holds. Opaque; to be settled exactly once. */
export interface Reservation {
  readonly id: string;
}

const nothing: readonly never[] = [];

export class OpenRequest implements Reservation {
  readonly id: string;
  /** Leases in Redis, which has to be told the end of the request. */
  held: readonly Held[] = nothing;
  /** On a Redis Cluster one for each scope, else one at most. */
  locals: readonly LocalGrant[] = nothing;
  renewedMs = 0;
  isSettled = false;
  /** Once it is settled; null: unknown, nothing is charged. */
  used: number | null = null;

  constructor(id: string) {
    this.id = id;
  }
}

/**
 * What was granted without Redis.
 * - `unknown`: Redis was asked, and may have granted it too: → `over` when it has, else → `own`
 * - `own`: it counts here: → `telling` while Redis is told of its leases, → `over` when it has ended
 * - `telling`: → `over` when Redis has taken it over
 * - `over`
 */
export interface LocalGrant {
  readonly request: OpenRequest;
  state: 'unknown' | 'own' | 'telling' | 'over';
  /** What is to be settled: leases. */
  readonly leased: Held;
  /** What is only counted, and has ended with that: requests where nothing else is limited. */
  readonly counted: Held;
  /** Where nothing was limited: the quota to which the use is charged all the same. */
  readonly owing: Held['scopes'][number] | undefined;
}
