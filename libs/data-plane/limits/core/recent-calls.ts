/** Calls of the last minute: how long their answers took, and how many had none in time. Times are monotonic ms. */

interface Slot {
  /** Which one since the start of the clock; what is left of an earlier one counts no more. */
  number: number;
  calls: number;
  failures: number;
  /** How many answers took so long, by `bucketOf`. */
  readonly took: number[];
}

const slotMs = 10_000;
const slotCount = 6;
/** Each √2 times as long as the one before, the first up to 1 ms, the last over 2.9 s. */
const bucketCount = 25;

const bucketOf = (ms: number): number =>
  ms <= 1 ? 0 : Math.min(bucketCount - 1, Math.ceil(2 * Math.log2(ms)));
const longestOf = (bucket: number): number => 2 ** (bucket / 2);

export class RecentCalls {
  readonly #slots: readonly Slot[] = Array.from({ length: slotCount }, () => ({
    number: -1,
    calls: 0,
    failures: 0,
    took: Array.from({ length: bucketCount }, () => 0),
  }));

  ended(ok: boolean, nowMs: number): void {
    const slot = this.#slot(nowMs);
    slot.calls++;
    if (!ok) slot.failures++;
  }

  /** An answer came, in time or not. */
  answered(tookMs: number, nowMs: number): void {
    const { took } = this.#slot(nowMs);
    const bucket = bucketOf(tookMs);
    took[bucket] = (took[bucket] ?? 0) + 1;
  }

  counts(nowMs: number): { readonly calls: number; readonly failures: number } {
    let [calls, failures] = [0, 0];
    for (const slot of this.#recent(nowMs)) {
      calls += slot.calls;
      failures += slot.failures;
    }
    return { calls, failures };
  }

  /** What 99 of 100 answers stay below, in ms and up to 41 % too long; undefined: there was none. */
  p99(nowMs: number): number | undefined {
    const recent = this.#recent(nowMs);
    const countOf = (bucket: number): number =>
      recent.reduce((sum, { took }) => sum + (took[bucket] ?? 0), 0);
    const counts = Array.from({ length: bucketCount }, (_, bucket) => countOf(bucket));
    const total = counts.reduce((sum, count) => sum + count, 0);
    let slower = 0;
    for (let bucket = bucketCount - 1; bucket >= 0; bucket--) {
      slower += counts[bucket] ?? 0;
      if (slower > total / 100) return longestOf(bucket);
    }
    return undefined;
  }

  #recent(nowMs: number): Slot[] {
    const oldest = Math.floor(nowMs / slotMs) - slotCount;
    return this.#slots.filter(({ number }) => number > oldest);
  }

  #slot(nowMs: number): Slot {
    const number = Math.floor(nowMs / slotMs);
    const slot = this.#slots[number % slotCount] as Slot;
    if (slot.number !== number) {
      slot.number = number;
      slot.calls = 0;
      slot.failures = 0;
      slot.took.fill(0);
    }
    return slot;
  }
}
