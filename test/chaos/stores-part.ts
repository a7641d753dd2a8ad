import type { Check, Place } from './scenario.ts';

/** One kind of outage, several times over. */
export interface Part {
  readonly title: string;
  /** What is done, in a sentence or two. */
  readonly what: string;
  run(place: Place): Promise<PartReport>;
}

export interface PartReport {
  readonly checks: readonly Check[];
  /** Of a table with one row for each outage. */
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export const seconds = (ms: number | undefined): string =>
  ms === undefined ? 'never' : (ms / 1_000).toFixed(1);

/** That all of the outages were overcome: `undefined` stands for one that was not. */
export function allResumed(text: string, tookMs: readonly (number | undefined)[]): Check {
  const found = tookMs.filter((ms) => ms !== undefined);
  return {
    text,
    ok: found.length === tookMs.length,
    found: `${found.length} of ${tookMs.length}, within ${seconds(Math.max(0, ...found))} s`,
  };
}
