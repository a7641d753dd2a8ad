import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseInstant } from './instant.ts';

const noon = Date.UTC(2026, 0, 15, 12);

test.each([
  [noon / 1000, noon],
  [String(noon / 1000), noon],
  ['1768478400.5', noon + 500],
  [noon, noon], // a source that counts in milliseconds
  [253402300799, Date.UTC(9999, 11, 31, 23, 59, 59)],
  [new Date(noon), noon],
  ['2026-01-15T12:00:00Z', noon],
  ['2026-01-15t12:00:00z', noon],
  ['2026-01-15T12:00:00.250Z', noon + 250],
  ['2026-01-15T13:00:00+01:00', noon],
  ['2026-01-15T06:30:00-05:30', noon],
  ['2026-01-15 12:00:00', noon],
  ['2026-01-15 12:00:00.123456', noon + 123],
  ['2026-01-15 12:00', noon],
  ['2026-01-15 12:00:00+00', noon],
  ['2026-01-15 13:00:00 +0100', noon],
  ['2026-01-15 12:00:00 UTC', noon],
  [' 2026-01-15 ', Date.UTC(2026, 0, 15)],
  ['2024-02-29', Date.UTC(2024, 1, 29)],
])('%j is a moment', (value, atMs) => {
  expect(parseInstant(value)).toBe(atMs);
});

test.each([undefined, null, '', ' ', 0, '0', -1, '-1', '0000-00-00', '0000-00-00 00:00:00'])(
  '%j means that there is none',
  (value) => {
    expect(parseInstant(value)).toBeNull();
  },
);

test.each([
  'soon',
  '15.01.2026',
  '01/15/2026',
  '2026-02-30',
  '2025-02-29',
  '2026-13-01',
  '2026-01-15T24:00:00Z',
  '2026-01-15T12:60:00Z',
  '2026-01-15T12:00:00+25:00',
  '2026-01-15T',

  '2026-01',
  NaN,
  true,
  {},
  [],
  new Date(NaN),
])('%j is not guessed at', (value) => {
  expect(parseInstant(value)).toBe('unreadable');
});

test('every moment survives each spelling', () => {
  const moments = fc.date({ min: new Date(1000), max: new Date('9999-12-31'), noInvalidDate: true });
  fc.assert(
    fc.property(moments, (at) => {
      const iso = at.toISOString();
      expect(parseInstant(iso)).toBe(at.getTime());
      expect(parseInstant(iso.replace('T', ' ').replace('Z', ''))).toBe(at.getTime());
      expect(parseInstant(at)).toBe(at.getTime());
      expect(parseInstant(String(Math.floor(at.getTime() / 1000)))).toBe(
        Math.floor(at.getTime() / 1000) * 1000,
      );
    }),
  );
});
