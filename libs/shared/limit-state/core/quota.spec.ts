import { expect, test } from 'vitest';
import { currentQuota, quotaWaitMs, settledQuota } from './quota.ts';

const quota = { total: 100, used: 30, periodStartMs: 5000, periodEndMs: 9000, shadow: false };
const stored = { used: 60, reserved: 10, startMs: 5000, endMs: 9000 };

test.each([
  ['begins with what the key came with', undefined, 1, { used: 30, reserved: 0, startMs: 5000, endMs: 9000 }],
  ['goes on within its period', stored, 1, stored],
  [
    'begins at 0 in a new period; reservations stay',
    { ...stored, startMs: 1000, endMs: 5000 },
    1,
    { ...stored, used: 0 },
  ],
  [
    'of a later period is not taken back',
    { ...stored, startMs: 9000, endMs: 0 },
    1,
    { ...stored, startMs: 9000, endMs: 0 },
  ],
  [
    'that was begun far ahead of its time goes back to the period that is asked for, and keeps what was used',
    { ...stored, startMs: 8_000_000, endMs: 0 },
    1,
    stored,
  ],
  ['has nothing reserved where nobody holds a lease', stored, 0, { ...stored, reserved: 0 }],
])('a quota %s', (_, state, inFlight, expected) => {
  expect(currentQuota(state, quota, { inFlight, nowMs: 6000 })).toEqual(expected);
});

test.each([
  ['fits to the last token', 30, 0],
  ['has reservations in its way', 35, 1000],
  ['is more than what is left', 41, -1],
])('a request that %s', (_, tokens, waitMs) => {
  expect(quotaWaitMs(stored, 100, tokens)).toBe(waitMs);
});

test('a quota of 0 blocks also what needs no tokens', () => {
  expect(quotaWaitMs({ ...stored, used: 0, reserved: 0 }, 0, 0)).toBe(-1);
});

test('a settle replaces the estimate by the use', () => {
  expect(settledQuota(stored, 10, 4)).toEqual({ ...stored, used: 64, reserved: 0 });
});
