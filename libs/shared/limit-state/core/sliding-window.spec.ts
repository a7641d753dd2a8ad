import fc from 'fast-check';
import { expect, test } from 'vitest';
import { amended, charged, rolled, windowLeft, windowWaitMs, type SlidingWindow } from './sliding-window.ts';

const start = 1_000_000;
const at = (startMs: number, previous: number, current: number): SlidingWindow => ({
  startMs,
  previous,
  current,
});

test.each([
  ['within a window nothing moves', at(start, 3, 5), 59_999, at(start, 3, 5)],
  ['a window that is over becomes the previous one', at(start, 3, 5), 60_000, at(start + 60_000, 5, 0)],
  [
    'after two windows it begins anew, with the next request',
    at(start, 3, 5),
    125_000,
    at(start + 125_000, 0, 0),
  ],
  ['a clock that went back restarts it and forgets nothing', at(start, 3, 5), -7000, at(start - 7000, 3, 5)],
])('%s', (_, before, afterMs, expected) => {
  expect(rolled(before, start + afterMs)).toEqual(expected);
});

test.each([
  ['fits', at(start, 0, 99), 100, 1, 0, 0],
  ['the window is full: half of the previous one has to age', at(start, 100, 0), 100, 50, 0, 30_000],
  ['nothing has aged', at(start, 100, 0), 100, 1, 0, 600],
  ['full now: until the next window has aged it', at(start, 0, 100), 100, 1, 10_000, 50_000 + 600],
  ['as much as the limit: until all is gone', at(start, 0, 1), 100, 100, 0, 120_000],
  ['more than the limit', at(start, 0, 0), 100, 101, 0, -1],
  ['a limit of 0', at(start, 0, 0), 0, 0, 0, -1],
])('%s', (...[, window, limit, cost, afterMs, expected]) => {
  expect(windowWaitMs(window, limit, cost, start + afterMs)).toBe(expected);
});

const windows = fc.record({
  startMs: fc.constant(start),
  previous: fc.nat(500),
  current: fc.nat(500),
});

test('a request that comes when it was told to fits, and a millisecond before it does not', () => {
  fc.assert(
    fc.property(
      windows,
      fc.integer({ min: 1, max: 300 }),
      fc.nat(300),
      fc.nat(59_999),
      (w, limit, cost, afterMs) => {
        const nowMs = start + afterMs;
        const waitMs = windowWaitMs(w, limit, cost, nowMs);
        if (waitMs <= 0) return;
        const then = nowMs + waitMs;
        expect(windowWaitMs(rolled(w, then), limit, cost, then)).toBe(0);
        expect(windowWaitMs(rolled(w, then - 1), limit, cost, then - 1)).not.toBe(0);
      },
    ),
  );
});

test('use above the estimate counts now, a refund in the window where the estimate was counted', () => {
  const w = at(start, 50, 50);
  expect(amended(w, 7, start - 1)).toEqual(at(start, 50, 57));
  expect(amended(w, -7, start)).toEqual(at(start, 50, 43));
  expect(amended(w, -7, start - 1)).toEqual(at(start, 43, 50));
  expect(amended(w, -7, start - 60_001)).toEqual(w);
});

test('what is left is told with the time until nothing is counted', () => {
  expect(windowLeft(at(start, 50, 10), 100, start + 30_000)).toEqual({ remaining: 65, resetMs: 90_000 });
  expect(windowLeft(at(start, 50, 0), 100, start)).toEqual({ remaining: 50, resetMs: 60_000 });
  expect(windowLeft(at(start, 0, 0), 100, start)).toEqual({ remaining: 100, resetMs: 0 });
});

test.each([
  ['into an idle scope begins a window then', at(start, 0, 0), 4, start - 7000, at(start - 7000, 0, 4)],
  [
    'over a minute ago into an idle scope is partly over',
    at(start, 0, 0),
    4,
    start - 70_000,
    at(start - 10_000, 4, 0),
  ],
  ['in this window', at(start - 9000, 2, 3), 4, start - 7000, at(start - 9000, 2, 7)],
  [
    'before the first of this window was that first',
    at(start - 5000, 0, 3),
    4,
    start - 7000,
    at(start - 7000, 0, 7),
  ],
  ['in the window before', at(start - 5000, 2, 3), 4, start - 7000, at(start - 5000, 6, 3)],
  ['too long ago', at(start - 5000, 2, 3), 4, start - 70_000, at(start - 5000, 2, 3)],
  ['at a time to come', at(start, 0, 0), 4, start + 7000, at(start, 0, 4)],
  ['that is taken back', at(start - 5000, 2, 3), -2, start, at(start - 5000, 2, 1)],
])('what was admitted elsewhere %s', (...[, window, count, then, expected]) => {
  expect(charged(window, count, then, start)).toEqual(expected);
});

test('what was admitted elsewhere counts as though it had been asked for here and then', () => {
  // Within the last minute: what is just a minute old counts no more where something later was told first.
  const asks = fc.array(fc.tuple(fc.integer({ min: 1, max: 59_999 }), fc.integer({ min: 1, max: 9 })), {
    minLength: 1,
    maxLength: 8,
  });
  fc.assert(
    fc.property(asks, (unordered) => {
      const nowMs = start + 60_000;
      const inOrder = unordered.toSorted(([a], [b]) => a - b);
      const here = inOrder.reduce<SlidingWindow>(
        (w, [afterMs, count]) => {
          const then = rolled(w, start + afterMs);
          return { ...then, current: then.current + count };
        },
        at(0, 0, 0),
      );
      const told = unordered.reduce<SlidingWindow>(
        (w, [afterMs, count]) => charged(rolled(w, nowMs), count, start + afterMs, nowMs),
        at(0, 0, 0),
      );
      expect(told).toEqual(rolled(here, nowMs));
    }),
  );
});
