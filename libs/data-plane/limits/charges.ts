/**
 * What Redis has to be told of requests that it did not admit and that have ended: how many, and what they used. Summed
 * up for each scope and five seconds; what is over a minute old counts in no rate any more, its tokens only for a quota.
 */
import { holds, type LimitScope } from '@llmproxy/limit-state';

export interface Charge {
  readonly scope: LimitScope;
  /** Sum of `holds`. */
  readonly flags: number;
  /** By the clock of Redis. */
  readonly atMs: number;
  readonly requests: number;
  readonly tokens: number;
}

const stepMs = 5000;
const minuteMs = 60_000;

export class Charges {
  #byTag = new Map<string, Charge[]>();

  get isEmpty(): boolean {
    return this.#byTag.size === 0;
  }

  add(charge: Charge): void {
    const { tag } = charge.scope;
    const charges = this.#byTag.get(tag) ?? [];
    this.#byTag.set(tag, charges);
    merge(charges, charge);
    while (charges.length > 1 && (charges[0] as Charge).atMs < charge.atMs - minuteMs) {
      const old = charges.shift() as Charge;
      if ((old.flags & holds.quota) !== 0 && old.tokens > 0) {
        merge(charges, { ...old, flags: holds.quota, requests: 0, atMs: charge.atMs });
      }
    }
  }

  /** Whether something is to be told that is not over with its minute. */
  owesQuota(tag: string): boolean {
    const charges = this.#byTag.get(tag) ?? [];
    return charges.some(({ flags, tokens }) => (flags & holds.quota) !== 0 && tokens > 0);
  }

  /** What was used so long ago that it counts nowhere any more. */
  drop(tag: string): void {
    this.#byTag.delete(tag);
  }

  /** All of it; it is here no longer. */
  take(): Charge[] {
    const all = [...this.#byTag.values()].flat();
    this.#byTag = new Map();
    return all;
  }
}

/** At the latest time of both: then none of it is forgotten too early. */
function merge(charges: Charge[], charge: Charge): void {
  const at = charges.findIndex(
    ({ flags, atMs }) =>
      flags === charge.flags && Math.floor(atMs / stepMs) === Math.floor(charge.atMs / stepMs),
  );
  const same = charges[at];
  if (same === undefined) charges.push(charge);
  else {
    charges[at] = {
      ...charge,
      atMs: Math.max(same.atMs, charge.atMs),
      requests: same.requests + charge.requests,
      tokens: same.tokens + charge.tokens,
    };
  }
}
