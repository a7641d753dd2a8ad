import { expect, test } from 'vitest';
import { FailureCount } from './failure-count.ts';

const policy = { failuresMax: 3, windowMs: 60_000, blockMs: 30_000 };

test('so many failures within a window block a scope, for as long as is set, and no other', () => {
  const count = new FailureCount(policy, 10);
  expect([count.failed('a', 0), count.failed('a', 1000), count.failed('a', 2000)]).toEqual([0, 0, 30_000]);
  expect(count.blockedMs('a', 2000)).toBe(30_000);
  expect(count.blockedMs('a', 31_999)).toBe(1);
  expect(count.blockedMs('a', 32_000)).toBe(0);
  expect(count.blockedMs('b', 2000)).toBe(0);
});

test('failures of an earlier window do not count', () => {
  const count = new FailureCount(policy, 10);
  count.failed('a', 0);
  count.failed('a', 59_999);
  expect(count.failed('a', 60_000)).toBe(0);
  expect(count.failed('a', 60_001)).toBe(0);
  expect(count.failed('a', 60_002)).toBe(30_000);
});

test('failures while blocked do not lengthen the block', () => {
  const count = new FailureCount({ ...policy, failuresMax: 1 }, 10);
  count.failed('a', 0);
  expect(count.failed('a', 10_000)).toBe(20_000);
});

test('an attacker with many addresses cannot make it grow', () => {
  const count = new FailureCount({ ...policy, failuresMax: 1 }, 2);
  for (const scope of ['a', 'b', 'c']) count.failed(scope, 0);
  expect(['a', 'b', 'c'].map((scope) => count.blockedMs(scope, 1) > 0)).toEqual([false, true, true]);
});
