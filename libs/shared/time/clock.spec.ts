import { expect, test } from 'vitest';
import { FakeClock, systemClock } from './clock.ts';

test('a fake clock moves only when advanced, both hands together', () => {
  const clock = new FakeClock(1000);
  expect([clock.now(), clock.monotonic()]).toEqual([1000, 0]);
  clock.advance(250);
  expect([clock.now(), clock.monotonic()]).toEqual([1250, 250]);
});

test('a fake clock refuses to go back', () => {
  expect(() => new FakeClock().advance(-1)).toThrow(RangeError);
});

test('the system clock counts milliseconds since 1970 and never runs backwards', () => {
  expect(new Date(systemClock.now()).getUTCFullYear()).toBeGreaterThanOrEqual(2025);
  expect(systemClock.monotonic()).toBeLessThanOrEqual(systemClock.monotonic());
});
