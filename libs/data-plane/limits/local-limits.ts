/**
 * Limits in this worker's memory, for requests that Redis did not answer. What is granted here counts here until Redis
 * has heard of it, whatever becomes of Redis meanwhile. Bounded: a scope of which nothing counts makes room for another;
 * where there is none, nothing is granted of which nothing would be known.
 */
import { holds, transactInMemory, type Lease, type LimitOp, type LimitScope } from '@llmproxy/limit-state';
import { Charges, type Charge } from './charges.ts';
import type { AdmitCall, Answer, Held } from './gathering.ts';

type Store = Parameters<typeof transactInMemory>[0];
type StoredScope = Store extends Map<string, infer Scope> ? Scope : never;

/** Some 1.1 KB each, what Redis has to be told of it included. */
const scopesMax = 100_000;
/** How many scopes are looked at for each that is to be new. */
const looksFor = 16;
/** Two windows: after that nothing of a minute is left. */
const windowsMs = 120_000;
/** This memory ends with the process that holds its leases; they need no end of their own. */
const leaseMs = 86_400_000;

export class LocalLimits {
  /** What Redis has to be told of requests that have ended. */
  readonly charges = new Charges();
  readonly #store: Store = new Map();
  readonly #nowMs: () => number;
  readonly #scopesMax: number;

  /** @param nowMs what the clock of Redis says */
  constructor(nowMs: () => number, max = scopesMax) {
    this.#nowMs = nowMs;
    this.#scopesMax = max;
  }

  /**
   * Undefined: there is no room for its scopes.
   * @param shareOf a scope as it limits what this worker grants by itself
   */
  admit(call: AdmitCall, shareOf: (scope: LimitScope) => LimitScope): Answer | undefined {
    if (!this.#hasRoom([...call.scopes, ...call.alternatives])) return undefined;
    const scopes = [...call.scopes, ...call.alternatives].map(shareOf);
    const indexes = scopes.map((_, index) => index);
    const op = {
      op: 'admit',
      id: call.id,
      tokens: call.tokens,
      scopes: indexes.slice(0, call.scopes.length),
      alternatives: indexes.slice(call.scopes.length),
    } as const;
    const reply = this.#run(scopes, op);
    if (typeof reply !== 'object') throw new TypeError('an admission was not answered by one');
    return { reply, scopes };
  }

  /** As though it had never been granted here: Redis counts it. */
  forget({ scopes, lease }: Held): void {
    this.#change(scopes, { op: 'undo', lease });
  }

  /** A request granted here has ended before Redis took it over: `used` replaces its estimate. */
  settle({ scopes, lease }: Held, used: number): void {
    this.forget({ scopes, lease });
    for (const { scope: at, flags } of lease.holds) {
      const scope = scopes[at];
      if (scope)
        this.#charge({ scope, flags: flags & ~holds.lease, atMs: lease.atMs, requests: 1, tokens: used });
    }
  }

  /** Counts what Redis has yet to be told. False: there is no room for its scope. */
  charge(charge: Charge): boolean {
    if (!this.#hasRoom([charge.scope])) return false;
    this.#charge(charge);
    return true;
  }

  #charge(charge: Charge): void {
    this.charges.add(charge);
    this.#change([charge.scope], chargeOp(charge));
  }

  /** Redis has heard of a charge. */
  heard(charge: Charge): void {
    const { requests, tokens } = charge;
    this.#change([charge.scope], chargeOp({ ...charge, requests: -requests, tokens: -tokens }));
  }

  /** Looks for scopes that mean nothing any more among those that were not looked at, or used, for longest. */
  #hasRoom(scopes: readonly LimitScope[]): boolean {
    const added = scopes.filter(({ tag }) => !this.#store.has(tag)).length;
    let over = added === 0 ? 0 : this.#store.size + added - this.#scopesMax;
    let looks = added * looksFor;
    const nowMs = this.#nowMs();
    for (const [tag, stored] of this.#store) {
      if (over <= 0 || looks-- === 0) break;
      this.#store.delete(tag);
      if (isOver(stored, nowMs) && !this.charges.owesQuota(tag)) {
        this.charges.drop(tag);
        over--;
      } else this.#store.set(tag, stored);
    }
    return over <= 0;
  }

  /** The rules of a scope are for admissions; else it is what is stored of it that changes. */
  #change(scopes: readonly LimitScope[], op: LimitOp): void {
    this.#run(
      scopes.map(({ tag }) => ({ tag })),
      op,
    );
  }

  #run(scopes: readonly LimitScope[], op: LimitOp) {
    return transactInMemory(this.#store, { leaseMs, scopes, ops: [op] }, this.#nowMs()).replies[0];
  }
}

function chargeOp(charge: Charge): LimitOp {
  return { op: 'charge', requests: charge.requests, lease: chargedLease('', charge), once: false };
}

/**
 * Of one scope.
 * @param id by which Redis may remember it
 */
export function chargedLease(id: string, { flags, atMs, tokens }: Charge): Lease {
  return { id, tokens, atMs, holds: [{ scope: 0, flags }] };
}

function isOver({ rates, leases, quota }: StoredScope, nowMs: number): boolean {
  if (leases.size > 0 || (quota !== undefined && quota.used + quota.reserved > 0)) return false;
  const windows = rates === undefined ? [] : [rates.requests, rates.tokens];
  return windows.every(
    ({ startMs, previous, current }) => previous + current <= 0 || nowMs - startMs >= windowsMs,
  );
}
