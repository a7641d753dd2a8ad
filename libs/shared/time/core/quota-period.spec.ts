import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createPeriods, periodEndMs, periodStartMs, type QuotaPeriod } from './quota-period.ts';

const at = (iso: string): number => Date.parse(iso);
const shown = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');
const hourMs = 3_600_000;

describe('a period begins and ends on the wall clock of its zone', () => {
  test.each<[QuotaPeriod, string, string, string, string]>([
    ['daily', 'UTC', '2026-03-01T00:00:00Z', '2026-03-01T00:00:00Z', '2026-03-02T00:00:00Z'],
    ['daily', 'UTC', '2026-03-01T23:59:59.999Z', '2026-03-01T00:00:00Z', '2026-03-02T00:00:00Z'],
    ['daily', 'Asia/Kolkata', '2026-03-01T18:29:59Z', '2026-02-28T18:30:00Z', '2026-03-01T18:30:00Z'],
    ['daily', 'Asia/Kathmandu', '2026-03-01T18:15:00Z', '2026-03-01T18:15:00Z', '2026-03-02T18:15:00Z'],
    ['daily', 'Pacific/Kiritimati', '2026-01-01T09:00:00Z', '2025-12-31T10:00:00Z', '2026-01-01T10:00:00Z'],
    ['weekly', 'UTC', '2026-03-01T12:00:00Z', '2026-02-23T00:00:00Z', '2026-03-02T00:00:00Z'], // a Sunday
    ['weekly', 'UTC', '2026-03-02T00:00:00Z', '2026-03-02T00:00:00Z', '2026-03-09T00:00:00Z'], // a Monday
    ['weekly', 'UTC', '1969-12-30T12:00:00Z', '1969-12-29T00:00:00Z', '1970-01-05T00:00:00Z'],
    ['weekly', 'America/New_York', '2026-03-09T03:59:59Z', '2026-03-02T05:00:00Z', '2026-03-09T04:00:00Z'],
    ['monthly', 'UTC', '2024-02-29T12:00:00Z', '2024-02-01T00:00:00Z', '2024-03-01T00:00:00Z'],
    ['monthly', 'UTC', '2025-02-28T23:59:59Z', '2025-02-01T00:00:00Z', '2025-03-01T00:00:00Z'],
    ['monthly', 'UTC', '2100-02-28T12:00:00Z', '2100-02-01T00:00:00Z', '2100-03-01T00:00:00Z'],
    ['monthly', 'UTC', '2025-12-31T23:59:59Z', '2025-12-01T00:00:00Z', '2026-01-01T00:00:00Z'],
    ['monthly', 'Europe/Berlin', '2024-03-31T21:59:59Z', '2024-02-29T23:00:00Z', '2024-03-31T22:00:00Z'],
  ])('%s in %s at %s: from %s to %s', (...[period, zone, now, start, end]) => {
    expect(shown(periodStartMs(period, zone, at(now)))).toBe(start);
    expect(shown(periodEndMs(period, zone, at(now)))).toBe(end);
  });

  test('never is one period without end', () => {
    expect(periodStartMs('never', 'UTC', at('2026-03-01T00:00:00Z'))).toBe(0);
    expect(periodEndMs('never', 'UTC', at('2026-03-01T00:00:00Z'))).toBe(Infinity);
  });

  test('a zone that does not exist is refused', () => {
    expect(() => createPeriods('Mars/Olympus')).toThrow(RangeError);
  });
});

describe('a day on which the clocks change', () => {
  test.each([
    ['lost 02:00 to 03:00', 'Europe/Berlin', '2024-03-31T12:00:00Z', '2024-03-30T23:00:00Z', 23],
    ['had 02:00 to 03:00 twice', 'Europe/Berlin', '2024-10-27T12:00:00Z', '2024-10-26T22:00:00Z', 25],
    ['changed by half an hour', 'Australia/Lord_Howe', '2024-04-07T01:00:00Z', '2024-04-06T13:00:00Z', 24.5],
    ['had no midnight', 'America/Sao_Paulo', '2018-11-04T12:00:00Z', '2018-11-04T03:00:00Z', 23],
    ['had no midnight', 'Asia/Beirut', '2024-03-31T12:00:00Z', '2024-03-30T22:00:00Z', 23],
    ['had no midnight', 'Africa/Cairo', '2024-04-26T12:00:00Z', '2024-04-25T22:00:00Z', 23],
    ['was put back at its end', 'America/Sao_Paulo', '2018-02-18T02:30:00Z', '2018-02-17T02:00:00Z', 25],
    ['was put back at its end', 'Africa/Cairo', '2024-10-31T21:30:00Z', '2024-10-30T21:00:00Z', 25],
    // At 00:01 the clock was put back to 23:01: the midnight that came first began the day.
    ['had two midnights', 'America/St_Johns', '2006-10-29T02:40:00Z', '2006-10-29T02:30:00Z', 25],
    ['came before two midnights', 'America/St_Johns', '2006-10-29T02:29:59Z', '2006-10-28T02:30:00Z', 24],
    ['followed a day that was left out', 'Pacific/Apia', '2011-12-30T12:00:00Z', '2011-12-30T10:00:00Z', 24],
  ])('%s, %s: it has its own length', (...[, zone, now, start, hours]) => {
    const bounds = createPeriods(zone).bounds('daily', at(now));
    expect([shown(bounds.startMs), (bounds.endMs - bounds.startMs) / hourMs]).toEqual([start, hours]);
  });

  test('is as much a part of its month as any other', () => {
    const { startMs, endMs } = createPeriods('Europe/Berlin').bounds('monthly', at('2024-03-15T00:00:00Z'));
    expect((endMs - startMs) / hourMs).toBe(31 * 24 - 1);
  });
});

test('a remembered period is given up as soon as the clock leaves it, forward or back', () => {
  const periods = createPeriods('UTC');
  const startAt = (iso: string) => shown(periods.bounds('daily', at(iso)).startMs);
  expect(startAt('2026-03-01T12:00:00Z')).toBe('2026-03-01T00:00:00Z');
  expect(startAt('2026-03-02T00:00:00Z')).toBe('2026-03-02T00:00:00Z');
  expect(startAt('2026-03-01T23:59:59Z')).toBe('2026-03-01T00:00:00Z');
});

const zones = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'America/Sao_Paulo',
  'America/St_Johns',
  'America/Havana',
  'America/Asuncion',
  'Asia/Beirut',
  'Asia/Kolkata',
  'Asia/Gaza',
  'Asia/Tehran',
  'Africa/Cairo',
  'Africa/Casablanca',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Pacific/Chatham',
  'Antarctica/Troll',
];
const someZone = fc.constantFrom(...zones);
const somePeriod = fc.constantFrom<QuotaPeriod>('daily', 'weekly', 'monthly');
const someTime = fc.integer({ min: at('1970-01-02T00:00:00Z'), max: at('2037-12-31T00:00:00Z') });

test('now is inside its period, and the periods follow each other without gap or overlap', () => {
  fc.assert(
    fc.property(someZone, somePeriod, someTime, (zone, period, nowMs) => {
      const periods = createPeriods(zone);
      const { startMs, endMs } = periods.bounds(period, nowMs);
      expect(startMs).toBeLessThanOrEqual(nowMs);
      expect(endMs).toBeGreaterThan(nowMs);
      expect(periods.bounds(period, endMs).startMs).toBe(endMs);
      expect(periods.bounds(period, startMs - 1).endMs).toBe(startMs);
    }),
  );
});

test('two moments of one period have the same start', () => {
  fc.assert(
    fc.property(someZone, somePeriod, someTime, fc.double({ min: 0, max: 1, noNaN: true }), (...of) => {
      const [zone, period, nowMs, part] = of;
      const { startMs, endMs } = createPeriods(zone).bounds(period, nowMs);
      const other = startMs + Math.floor((endMs - 1 - startMs) * part);
      expect(periodStartMs(period, zone, other)).toBe(startMs);
    }),
  );
});

test('a day begins at local midnight, or at the first moment after it where there is none', () => {
  fc.assert(
    fc.property(someZone, someTime, (zone, nowMs) => {
      const show = new Intl.DateTimeFormat('en-GB', {
        timeZone: zone,
        dateStyle: 'short',
        timeStyle: 'medium',
      });
      const { startMs } = createPeriods(zone).bounds('daily', nowMs);
      const [day, time] = show.format(startMs).split(', ');
      const [dayBefore, timeBefore] = show.format(startMs - 1).split(', ');
      expect(day).not.toBe(dayBefore);
      // Jumped over midnight, or came to it.
      if (time !== '00:00:00') expect(timeBefore).toBe('23:59:59');
    }),
  );
});
