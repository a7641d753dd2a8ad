/**
 * When the period of a quota begins and ends on the wall clock of a time zone. Guarantee: the periods of one kind and
 * zone cover all time without a gap or an overlap, whatever is done to the clocks: each is
 * `start <= now < end`, and the end of one is the start of the next.
 */
import type { Ms } from './duration.ts';

/** A day begins at local midnight, a week on Monday, a month on its first; `never` is one period without end. */
export type QuotaPeriod = 'daily' | 'weekly' | 'monthly' | 'never';

/** Milliseconds since 1970 UTC. */
export interface PeriodBounds {
  /** First millisecond of the period. */
  readonly startMs: Ms;
  /** First millisecond of the next one; `Infinity` for `never`. */
  readonly endMs: Ms;
}

/** The periods of one time zone, remembered: asking for the current one again costs two comparisons. */
export interface Periods {
  /** The period that holds `nowMs`. */
  bounds(period: QuotaPeriod, nowMs: Ms): PeriodBounds;
}

/** What a clock on the wall shows, as if it hung in UTC: milliseconds, floored to the second. */
type WallMs = number;
type ReadWall = (atMs: Ms) => WallMs;

const dayMs = 86_400_000;
/** More than any zone ever was from UTC (Manila, before 1844: 15 h 56 min). */
const offsetMsMax = 16 * 3_600_000;
const always: PeriodBounds = { startMs: 0, endMs: Infinity };

/**
 * Start of the period that holds `nowMs`.
 * @param timeZone IANA name, such as `Europe/Berlin`, or `UTC`
 * @param nowMs milliseconds since 1970 UTC
 * @returns milliseconds since 1970 UTC; 0 for `never`
 * @throws RangeError when there is no such time zone
 */
export function periodStartMs(period: QuotaPeriod, timeZone: string, nowMs: Ms): Ms {
  return createPeriods(timeZone).bounds(period, nowMs).startMs;
}

/** First millisecond after the period that holds `nowMs`; `Infinity` for `never`. Otherwise like `periodStartMs`. */
export function periodEndMs(period: QuotaPeriod, timeZone: string, nowMs: Ms): Ms {
  return createPeriods(timeZone).bounds(period, nowMs).endMs;
}

/**
 * For whoever asks often: computing a period takes tens of microseconds.
 * @throws RangeError when there is no such time zone
 */
export function createPeriods(timeZone: string): Periods {
  const readWall = wallClockIn(timeZone);
  const current = { daily: nothing, weekly: nothing, monthly: nothing, never: always };
  return {
    bounds(period, nowMs) {
      const known = current[period];
      // A clock that was set back leaves the period as well.
      if ((nowMs >= known.startMs && nowMs < known.endMs) || period === 'never') return known;
      return (current[period] = boundsAround(period, nowMs, readWall));
    },
  };
}

const nothing: PeriodBounds = { startMs: 0, endMs: 0 };

function boundsAround(period: Exclude<QuotaPeriod, 'never'>, nowMs: Ms, readWall: ReadWall): PeriodBounds {
  let first = firstDay(period, readWall(nowMs));
  for (;;) {
    const next = nextFirstDay(period, first);
    const endMs = firstInstantAt(next, readWall);
    if (nowMs < endMs) return { startMs: firstInstantAt(first, readWall), endMs };
    // The clock was put back over midnight: it shows the day before once more, whose period has ended.
    first = next;
  }
}

/** Midnight of the day on which the period of `wallMs` begins. */
function firstDay(period: Exclude<QuotaPeriod, 'never'>, wallMs: WallMs): WallMs {
  const day = Math.floor(wallMs / dayMs);
  if (period === 'daily') return day * dayMs;
  if (period === 'weekly') return (day - mondayBased(day)) * dayMs;
  const date = new Date(wallMs);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
}

function nextFirstDay(period: Exclude<QuotaPeriod, 'never'>, first: WallMs): WallMs {
  if (period === 'daily') return first + dayMs;
  if (period === 'weekly') return first + 7 * dayMs;
  const date = new Date(first);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
}

/** 0 on Mondays; day 0, 1970-01-01, was a Thursday. */
const mondayBased = (day: number): number => (((day + 3) % 7) + 7) % 7;

/**
 * The first instant at which the clock shows `wall` or later. Where midnight does not exist that is the moment of the
 * jump over it; where it comes twice, the first of both.
 */
function firstInstantAt(wall: WallMs, readWall: ReadWall): Ms {
  const before = offsetAt(wall - offsetMsMax, readWall);
  const after = offsetAt(wall + offsetMsMax, readWall);
  if (before === after) return wall - before;
  const changeMs = changeOfOffset(wall - offsetMsMax, wall + offsetMsMax, readWall);
  if (wall - before < changeMs) return wall - before;
  return Math.max(changeMs, wall - after);
}

/** When the offset stops being the one of `fromMs`; both are whole seconds, as all changes are. */
function changeOfOffset(fromMs: Ms, toMs: Ms, readWall: ReadWall): Ms {
  const offset = offsetAt(fromMs, readWall);
  let same = fromMs;
  let changed = toMs;
  while (changed - same > 1000) {
    const middle = same + Math.floor((changed - same) / 2000) * 1000;
    if (offsetAt(middle, readWall) === offset) same = middle;
    else changed = middle;
  }
  return changed;
}

/** How far the wall clock is ahead of UTC at a whole second, in milliseconds. */
const offsetAt = (atMs: Ms, readWall: ReadWall): Ms => readWall(atMs) - atMs;

function wallClockIn(timeZone: string): ReadWall {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    calendar: 'iso8601',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  return (atMs) => {
    const shown: Record<string, number> = {};
    for (const { type, value } of format.formatToParts(atMs)) shown[type] = Number(value);
    const { year = NaN, month = NaN, day = NaN, hour = NaN, minute = NaN, second = NaN } = shown;
    return Date.UTC(year, month - 1, day, hour, minute, second);
  };
}
