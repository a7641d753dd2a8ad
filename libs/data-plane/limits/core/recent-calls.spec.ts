import { expect, test } from 'vitest';
import { deadlineMs, longestDeadlineMs } from './deadline.ts';
import { RecentCalls } from './recent-calls.ts';

const took = (calls: readonly (readonly [ms: number, count: number])[]): RecentCalls => {
  const recent = new RecentCalls();
  for (const [ms, count] of calls) for (let i = 0; i < count; i++) recent.answered(ms, 0);
  return recent;
};

test('a deadline leaves room for the way to Redis, and for answers that are late now and then', () => {
  const of = (...calls: [ms: number, count: number][]) => deadlineMs(took(calls).p99(0), 100);
  expect(deadlineMs(undefined, 100)).toBe(100);
  expect(of([0.4, 1000])).toBe(100);
  expect(of([80, 1])).toBeGreaterThanOrEqual(240);
  expect(of([80, 1])).toBeLessThanOrEqual(240 * Math.SQRT2);
  expect(of([1, 95], [210, 5])).toBeGreaterThanOrEqual(630);
  expect(of([1, 991], [210, 9])).toBe(100);
  expect(of([450, 10])).toBe(1000);
  expect(of([60_000, 10])).toBe(1000);
});

test('a lower bound above a second is the only deadline', () => {
  expect([deadlineMs(500, 5000), longestDeadlineMs(5000)]).toEqual([5000, 5000]);
});

test('what is over a minute old does not count', () => {
  const recent = new RecentCalls();
  recent.answered(400, 1000);
  recent.ended(false, 1000);
  recent.ended(true, 30_000);
  recent.answered(2, 30_000);
  expect(recent.counts(59_000)).toEqual({ calls: 2, failures: 1 });
  expect(recent.p99(59_000)).toBeGreaterThanOrEqual(400);
  expect([recent.counts(61_000), recent.p99(61_000)]).toEqual([{ calls: 1, failures: 0 }, 2]);
  expect(recent.counts(500_000)).toEqual({ calls: 0, failures: 0 });
});
