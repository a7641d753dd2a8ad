import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseDuration } from './duration.ts';

describe('parseDuration', () => {
  test.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['2m', 120_000],
    ['1h30m', 5_400_000],
    ['1h0m0.5s', 3_600_500],
    ['1.5s', 1500],
    ['.5s', 500],
    ['100us', 0.1],
    ['100µs', 0.1],
    ['100μs', 0.1],
    ['1ns', 0.000001],
    ['0s', 0],
    ['0', 0],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test.each(['30', '1.5', '0.0', '-30'])('%s is refused because it has no unit', (text) => {
    expect(() => parseDuration(text)).toThrow(
      'a duration needs a unit: write 30s or 500ms, not a bare number',
    );
  });

  test.each(['', ' ', '30 s', '30S', '1d', 's', '1s ', '1h30', '1..5s', '٣s', 'PT30S'])(
    '%j is refused',
    (text) => {
      expect(() => parseDuration(text)).toThrow('not a duration: write it like 30s, 500ms or 1h30m');
    },
  );

  test('a negative duration is refused', () => {
    expect(() => parseDuration('-30s')).toThrow('a duration cannot be negative');
  });

  test('the refusal never repeats the text, which may be a misplaced secret', () => {
    expect(() => parseDuration('sk-secret')).not.toThrow('sk-secret');
  });

  test('hours, minutes, seconds and milliseconds add up', () => {
    const upTo = (max: number) => fc.integer({ min: 0, max });
    fc.assert(
      fc.property(upTo(1000), upTo(59), upTo(59), upTo(999), (h, m, s, ms) => {
        expect(parseDuration(`${h}h${m}m${s}s${ms}ms`)).toBe(((h * 60 + m) * 60 + s) * 1000 + ms);
      }),
    );
  });
});
