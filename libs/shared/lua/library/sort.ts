/** A merge sort that can be interrupted: n log n comparisons whatever the comparison says, and elements are never lost. */
import { api, hashOf, objects, PAUSE, raise } from '../engine/engine.ts';
import { meter } from '../engine/meter.ts';
import type { LuaState, TValue } from '../engine/types.ts';

const UNITS_PER_COMPARISON = 3;

/** Is `a < b`, as the language says without a comparison function? */
function isLess(L: LuaState, a: TValue, b: TValue): boolean {
  if (a.ttisnumber() && b.ttisnumber()) return (a.value as number) < (b.value as number);
  if (a.ttisstring() && b.ttisstring()) return (hashOf(a) as string) < (hashOf(b) as string);
  return raise(L, 'attempt to compare values that are neither two numbers nor two strings');
}

/**
 * The elements in order. Its comparison function, if there is one, is argument 2 of the library function that runs.
 * @returns a new array, or the given one
 */
export function* sorted(L: LuaState, elements: TValue[]): Generator<number, TValue[], void> {
  const compare = !api.lua_isnoneornil(L, 2);
  let [from, to] = [elements, elements.slice()];
  for (let width = 1; width < elements.length; width *= 2) {
    for (let low = 0; low < elements.length; low += 2 * width) {
      yield* merge(L, from, to, { low, middle: low + width, high: low + 2 * width, compare });
    }
    [from, to] = [to, from];
  }
  return from;
}

interface Runs {
  low: number;
  middle: number;
  high: number;
  compare: boolean;
}

/** Merges the runs [low, middle) and [middle, high) of `from` into `to`; equal elements keep their order. */
function* merge(L: LuaState, from: TValue[], to: TValue[], runs: Runs): Generator<number, void, void> {
  const middle = Math.min(runs.middle, from.length);
  const high = Math.min(runs.high, from.length);
  let [left, right] = [runs.low, middle];
  for (let i = runs.low; i < high; i++) {
    let takeRight = left >= middle;
    if (!takeRight && right < high) {
      const [a, b] = [from[right] as TValue, from[left] as TValue];
      meter.work(UNITS_PER_COMPARISON);
      if (runs.compare) {
        api.lua_pushvalue(L, 2);
        objects.pushobj2s(L, a);
        objects.pushobj2s(L, b);
        yield 2;
        takeRight = api.lua_toboolean(L, -1);
        api.lua_pop(L, 1);
      } else takeRight = isLess(L, a, b);
    }
    to[i] = from[takeRight ? right++ : left++] as TValue;
    if (meter.paused) yield PAUSE;
  }
}
