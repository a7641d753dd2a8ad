import { expect, test } from 'vitest';
import type { KnownUse } from './known-use.ts';
import { localShare, neverFits, share, type ShareOf } from './local-share.ts';

const quota = { total: 1000, used: 100, periodStartMs: 50, periodEndMs: 90, shadow: false };
const of = (known?: Partial<KnownUse>, more: Partial<ShareOf> = {}): ShareOf => ({
  workers: 4,
  known: known && {
    requests: undefined,
    tokens: undefined,
    level: undefined,
    quota: undefined,
    periodStartMs: undefined,
    atMs: 0,
    ...known,
  },
  open: 0,
  nowMs: 0,
  ...more,
});

test('limits are divided, but no worker is left with nothing of what is allowed', () => {
  const limits = {
    requestsPerSecond: 10,
    burst: 12,
    requestsPerMinute: 3,
    tokensPerMinute: 0,
    maxConcurrent: 4,
  };
  expect(localShare({ tag: 'g', limits }, of()).limits).toEqual({
    requestsPerSecond: 2,
    burst: 3,
    requestsPerMinute: 1,
    tokensPerMinute: 0,
    maxConcurrent: 1,
  });
});

test.each([
  [100, 4, 25],
  [3, 4, 1],
  [1, 1, 1],
  [0, 4, 0],
  [-7, 4, 0],
  [0.5, 4, 0.5],
])('of %s left, one of %i workers may grant %s', (left, workers, expected) => {
  expect(share(left, workers)).toBe(expected);
});

test.each([
  ['all of it for a minute', 60_000, 25],
  ['half of it half a minute later', 90_000, 62],
  ['nothing after two', 120_000, 100],
])('of what Redis said to be used in a minute counts %s', (_, ageMs, expected) => {
  const limits = { requestsPerMinute: 100, tokensPerMinute: 100 };
  const known = { requests: 75, tokens: 75 };
  const shared = localShare({ tag: 'g', limits }, of(known, { workers: 1, nowMs: ageMs })).limits;
  expect(shared).toMatchObject({ requestsPerMinute: expected, tokensPerMinute: expected });
});

test('of a burst counts the level that Redis said, filled up since', () => {
  const limits = { requestsPerSecond: 2, burst: 12 };
  const burst = (nowMs: number) =>
    localShare({ tag: 'g', limits }, of({ level: -1000 }, { workers: 2, nowMs })).limits?.burst ?? 0;
  expect([burst(0) < 1, burst(1000), burst(4500), burst(60_000)]).toEqual([true, 1, 4, 6]);
});

test('of requests at once count those that the worker holds in Redis', () => {
  const limits = { maxConcurrent: 12 };
  expect(localShare({ tag: 'g', limits }, of(undefined, { open: 2 })).limits?.maxConcurrent).toBe(1);
  expect(localShare({ tag: 'g', limits }, of(undefined, { open: 9 })).limits?.maxConcurrent).toBe(0);
});

test.each<[what: string, known: Partial<KnownUse> | undefined, total: number]>([
  ['what Redis said last', { quota: 800, periodStartMs: 50 }, 50],
  ['nothing of an earlier period', { quota: 800, periodStartMs: 0 }, 250],
  ['what the key came with, when Redis never said', undefined, 225],
])('of a quota counts %s', (_, known, total) => {
  expect(localShare({ tag: 'k:1', quota }, of(known)).quota).toMatchObject({ total, used: 0 });
});

test('only what no worker and no Redis would let in never fits', () => {
  const limits = {
    requestsPerSecond: 1,
    burst: 1,
    requestsPerMinute: 1,
    tokensPerMinute: 50,
    maxConcurrent: 1,
  };
  const names = [
    'requests_per_second',
    'requests_per_minute',
    'tokens_per_minute',
    'max_concurrent',
    'quota',
  ] as const;
  const never = (scope: Parameters<typeof neverFits>[0], tokens: number) =>
    names.map((limit) => neverFits(scope, limit, tokens, of({ quota: 960, periodStartMs: 50 }).known));
  expect(never({ tag: 'k:1', limits, quota }, 40)).toEqual([false, false, false, false, false]);
  expect(never({ tag: 'k:1', limits, quota }, 51)).toEqual([false, false, true, false, true]);
  const none = { requestsPerSecond: 0, requestsPerMinute: 0, tokensPerMinute: 0, maxConcurrent: 0 };
  expect(never({ tag: 'k:1', limits: none }, 0)).toEqual([true, true, true, true, true]);
});
