/**
 * Limits in this worker's memory, for requests that Redis did not answer. What is granted here counts here until Redis
 * has heard of it, whatever becomes of Redis meanwhile. Bounded: the scopes used last are kept.
 */
import { holds, transactInMemory, type Hold, type LimitOp, type LimitScope } from '@llmproxy/limit-state';
import { Charges, type Charge } from './charges.ts';
import type { AdmitCall, Answer, Held } from './gathering.ts';

type Store = Parameters<typeof transactInMemory>[0];

const scopesMax = 10_000;
/** This memory ends with the process that holds its leases; they need no end of their own. */
const leaseMs = 86_400_000;

export class LocalLimits {
  /** What Redis has to be told of requests that have ended. */
  readonly charges = new Charges();
  readonly #store: Store = new Map();
  readonly #nowMs: () => number;

  /** @param nowMs what the clock of Redis says */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** @param shareOf a scope as it limits what this worker grants by itself */
  admit(call: AdmitCall, shareOf: (scope: LimitScope) => LimitScope): Answer {
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
    for (const tag of this.#store.keys()) {
      if (this.#store.size <= scopesMax) break;
      this.#store.delete(tag);
    }
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
        this.charge({ scope, flags: flags & ~holds.lease, atMs: lease.atMs, requests: 1, tokens: used });
    }
  }

  /** Counts what Redis has yet to be told. */
  charge(charge: Charge): void {
    this.charges.add(charge);
    this.#change([charge.scope], chargeOp(charge));
  }

  /** Redis has heard of a charge. */
  heard(charge: Charge): void {
    const { requests, tokens } = charge;
    this.#change([charge.scope], chargeOp({ ...charge, requests: -requests, tokens: -tokens }));
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

/** Of one scope. */
export function chargeOp({ flags, atMs, requests, tokens }: Charge): Extract<LimitOp, { op: 'charge' }> {
  const hold: Hold = { scope: 0, flags };
  return { op: 'charge', requests, lease: { id: 'charged', tokens, atMs, holds: [hold] } };
}
