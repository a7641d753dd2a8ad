import { expect, test } from 'vitest';
import { bucketLeft, bucketWaitMs, refilled, taken, unusedBucket } from './token-bucket.ts';

const rules = { rps: 5, burst: 10 };
const now = 1_000_000;

test('a bucket starts full, refills evenly and never beyond full', () => {
  const full = refilled(unusedBucket, rules, now);
  expect(full).toEqual({ level: 10_000, atMs: now });
  const used = taken(full, rules, 10);
  expect(refilled(used, rules, now + 200)).toEqual({ level: 1000, atMs: now + 200 });
  expect(refilled(used, rules, now + 60_000).level).toBe(10_000);
  expect(taken(full, rules, -1).level).toBe(10_000);
});

test('a clock that went back takes nothing away and gives nothing', () => {
  expect(refilled({ level: 3000, atMs: now }, rules, now - 500)).toEqual({ level: 3000, atMs: now - 500 });
});

test.each([
  [{ level: 1000, atMs: now }, rules, 0],
  [{ level: 999, atMs: now }, rules, 1],
  [{ level: 0, atMs: now }, rules, 200],
  [{ level: 0, atMs: now }, { rps: 0, burst: 10 }, -1],
  [{ level: 500, atMs: now }, { rps: 5, burst: 0.5 }, -1],
])('%j of %j: a request waits %i ms', (bucket, of, expected) => {
  expect(bucketWaitMs(bucket, of)).toBe(expected);
});

test('what is left is told with the time until it is full', () => {
  expect(bucketLeft({ level: 2500, atMs: now }, rules)).toEqual({ remaining: 2.5, resetMs: 1500 });
});
