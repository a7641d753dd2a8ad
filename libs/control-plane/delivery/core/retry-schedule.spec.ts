import { expect, test } from 'vitest';
import { databaseSchedule, retryAfterMs, retryDelayMs, webhookSchedule } from './retry-schedule.ts';

test.each([
  [1, 0, 2_500],
  [1, 1, 5_000],
  [2, 1, 10_000],
  [7, 1, 320_000],
  [8, 1, 600_000],
  [8, 0, 300_000],
  [10_000, 1, 600_000],
])('after attempt %i of a webhook, with jitter %d, the pause is %i ms', (attempt, random, pauseMs) => {
  expect(retryDelayMs({ attempt, random }, webhookSchedule)).toBe(pauseMs);
});

test('a database is asked again within a minute, however long it was away', () => {
  expect(retryDelayMs({ attempt: 500, random: 1 }, databaseSchedule)).toBe(60_000);
});

test('thirty attempts at a webhook last for hours', () => {
  const pauses = Array.from({ length: 29 }, (_, index) =>
    retryDelayMs({ attempt: index + 1, random: 0.5 }, webhookSchedule),
  );
  expect(pauses.reduce((sum, pause) => sum + pause, 0)).toBeGreaterThan(2 * 60 * 60 * 1_000);
});

test.each([
  ['longer than the schedule is honoured', 90_000, 90_000],
  ['shorter than the schedule changes nothing', 1_000, 5_000],
  ['longer than an hour is cut to an hour', 86_400_000, 3_600_000],
])('a Retry-After %s', (_, retryAfter, pauseMs) => {
  expect(retryDelayMs({ attempt: 1, random: 1, retryAfterMs: retryAfter }, webhookSchedule)).toBe(pauseMs);
});

test.each([
  ['120', 120_000],
  ['Wed, 21 Oct 2026 07:28:30 GMT', 30_000],
  ['Wed, 21 Oct 2026 07:27:00 GMT', undefined],
  ['0', undefined],
  ['soon', undefined],
  [undefined, undefined],
])('Retry-After: %s means a pause of %s ms', (header, pauseMs) => {
  expect(retryAfterMs(header, Date.parse('2026-10-21T07:28:00Z'))).toBe(pauseMs);
});
