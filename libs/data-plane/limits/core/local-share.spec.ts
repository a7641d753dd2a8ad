import { expect, test } from 'vitest';
import { localShare } from './local-share.ts';

const quota = { total: 1000, used: 100, periodStartMs: 50, periodEndMs: 90, shadow: false };

test('limits are divided, but no worker is left with nothing of what is allowed', () => {
  const limits = { requestsPerSecond: 10, requestsPerMinute: 3, tokensPerMinute: 0, maxConcurrent: 4 };
  expect(localShare({ tag: 'g', limits }, 4, undefined).limits).toEqual({
    requestsPerSecond: 2,
    burst: undefined,
    requestsPerMinute: 1,
    tokensPerMinute: 0,
    maxConcurrent: 1,
  });
});

test.each([
  ['what Redis said last', { spent: 800, periodStartMs: 50 }, 50],
  ['nothing of an earlier period', { spent: 800, periodStartMs: 0 }, 250],
  ['what the key came with, when Redis never said', undefined, 225],
])('of a quota counts %s', (_, known, total) => {
  expect(localShare({ tag: 'k:1', quota }, 4, known).quota).toMatchObject({ total, used: 0 });
});
