/** The checks of several workers as one list: what fares badly in one of them is what an operator has to know. */
import { isWell } from '@llmproxy/telemetry';

/** Name of a check → what it found. */
export type Checks = Readonly<Record<string, string>>;

/** By check the worst that any worker found; where only some of them fare badly, how many of `all`; what they count, added up. */
export function mergeChecks(all: readonly Checks[]): Record<string, string> {
  const names = new Set(all.flatMap((checks) => Object.keys(checks)));
  return Object.fromEntries(
    [...names].map((name) => [name, merged(all.flatMap((checks) => checks[name] ?? []))]),
  );
}

function merged(found: readonly string[]): string {
  const bad = found.filter((one) => !isWell(one)).sort();
  // `failing since <RFC 3339>: …`: the first in order is the longest outage.
  const [worst] = bad;
  // Of those that are well the one that failed last, if any did: `ok` sorts before `ok; failed last at <RFC 3339>: …`.
  if (worst === undefined) return found.toSorted().at(-1) ?? 'ok';
  const told = withAllCounted(worst, bad);
  return bad.length === found.length ? told : `${bad.length} of ${found.length} workers: ${told}`;
}

/** Ends what a `queue` that is not well found. Each worker counts what it has spooled itself. */
const counted = /; (\d+)(?= events spooled since then$)/;

function withAllCounted(worst: string, bad: readonly string[]): string {
  const events = bad.reduce((sum, one) => sum + Number(counted.exec(one)?.[1] ?? 0), 0);
  return worst.replace(counted, `; ${events}`);
}
