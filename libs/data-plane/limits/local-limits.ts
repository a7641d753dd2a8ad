/** Limits in this worker's memory, for the time when Redis cannot be asked. Bounded: the scopes used last are kept. */
import { transactInMemory } from '@llmproxy/limit-state';
import type { Clock } from '@llmproxy/time';
import { localShare, type KnownQuota } from './core/local-share.ts';
import type { AdmitCall, Answer, Held } from './gathering.ts';

type Store = Parameters<typeof transactInMemory>[0];

/** What was granted here. */
export interface LocalHold extends Held {
  readonly store: Store;
}

const scopesMax = 10_000;
/** This memory ends with the process that holds its leases; they need no end of their own. */
const leaseMs = 86_400_000;

export class LocalLimits {
  readonly #clock: Clock;
  #store: Store = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param knownOf what Redis said last of a scope's quota */
  admit(
    call: AdmitCall,
    workers: number,
    knownOf: (tag: string) => KnownQuota | undefined,
  ): { answer: Answer; store: Store } {
    const all = [...call.scopes, ...call.alternatives];
    const scopes = all.map((scope) => localShare(scope, workers, knownOf(scope.tag)));
    const indexes = all.map((_, index) => index);
    const op = {
      op: 'admit',
      id: call.id,
      tokens: call.tokens,
      scopes: indexes.slice(0, call.scopes.length),
      alternatives: indexes.slice(call.scopes.length),
    } as const;
    const [reply] = transactInMemory(this.#store, { leaseMs, scopes, ops: [op] }, this.#clock.now());
    for (const tag of this.#store.keys()) {
      if (this.#store.size <= scopesMax) break;
      this.#store.delete(tag);
    }
    if (typeof reply !== 'object') throw new TypeError('an admission was not answered by one');
    return { answer: { reply, scopes }, store: this.#store };
  }

  settle({ scopes, lease, store }: LocalHold, used: number | null): void {
    if (store !== this.#store) return;
    const op = { op: 'settle', lease, used, again: false } as const;
    transactInMemory(store, { leaseMs, scopes, ops: [op] }, this.#clock.now());
  }

  /** Redis answers again: what was granted here does not count the next time. */
  forget(): void {
    this.#store = new Map();
  }
}
