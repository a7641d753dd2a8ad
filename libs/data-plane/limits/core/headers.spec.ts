import { expect, test } from 'vitest';
import { goDuration, rateLimitHeaders, refusalHeaders } from './headers.ts';

test.each([
  [0, '0s'],
  [17, '17ms'],
  [1000, '1s'],
  [8640, '8.64s'],
  [60_000, '1m0s'],
  [90_500, '1m30.5s'],
  [360_000, '6m0s'],
  [3_600_000, '1h0m0s'],
])('%i ms are written %s', (ms, expected) => {
  expect(goDuration(ms)).toBe(expected);
});

test('a client sees the limit, what is left of it and when it is full again', () => {
  const requests = { limit: 100, remaining: 99, resetMs: 600 };
  const tokens = { limit: 10_000, remaining: 8744, resetMs: 360_000 };
  expect(rateLimitHeaders({ requests, tokens })).toEqual([
    'x-ratelimit-limit-requests',
    '100',
    'x-ratelimit-remaining-requests',
    '99',
    'x-ratelimit-reset-requests',
    '600ms',
    'x-ratelimit-limit-tokens',
    '10000',
    'x-ratelimit-remaining-tokens',
    '8744',
    'x-ratelimit-reset-tokens',
    '6m0s',
  ]);
});

test('what is not limited is not spoken of', () => {
  expect(rateLimitHeaders({ requests: null, tokens: null })).toEqual([]);
});

test.each([
  [1, ['retry-after', '1', 'retry-after-ms', '1']],
  [1001, ['retry-after', '2', 'retry-after-ms', '1001']],
  [-1, ['x-should-retry', 'false']],
])('a refusal for %i ms says when to come back, or not to', (retryAfterMs, expected) => {
  expect(refusalHeaders({ retryAfterMs })).toEqual(expected);
});
