/** Moments as the sources of keys spell them. */

/** A moment in ms since 1970 UTC, null for "none", `unreadable` for what must not be guessed at. */
export type Instant = number | null | 'unreadable';

/** Seconds from here on would be the year 33658, so the number is in milliseconds. */
const millisecondsFrom = 1e12;
const decimal = /^[+-]?\d+(?:\.\d+)?$/;
const date = String.raw`(\d{4})-(\d{2})-(\d{2})`;
const time = String.raw`(\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?`;
const zone = String.raw`(z|utc|[+-]\d{2}(?::?\d{2})?)`;
const written = new RegExp(`^${date}(?:[ t]${time} ?${zone}?)?$`, 'i');

/**
 * Reads unix seconds (a number or a numeric text), RFC 3339, an SQL date or datetime (UTC unless it names an offset),
 * or a Date. Absent, null, '', 0, negative numbers and MySQL's zero date mean "none".
 */
export function parseInstant(value: unknown): Instant {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string') return fromText(value.trim());
  if (value instanceof Date) return fromMs(value.getTime());
  if (typeof value === 'number' || typeof value === 'bigint') return fromUnix(Number(value));
  return 'unreadable';
}

const fromMs = (atMs: number): Instant => (Number.isNaN(atMs) ? 'unreadable' : atMs);

function fromUnix(seconds: number): Instant {
  if (Number.isNaN(seconds)) return 'unreadable';
  if (seconds <= 0) return null;
  return seconds >= millisecondsFrom ? seconds : seconds * 1000;
}

function fromText(text: string): Instant {
  if (text === '' || text.startsWith('0000-00-00')) return null;
  return decimal.test(text) ? fromUnix(Number(text)) : fromDate(text);
}

function fromDate(text: string): Instant {
  const parts = written.exec(text);
  if (!parts) return 'unreadable';
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map((part) => Number(part ?? 0));
  const fraction = Number(`0.${parts[7] ?? '0'}`);
  if (!isTimeOfDay(hour, minute, second)) return 'unreadable';
  const atMs = Date.UTC(year ?? 0, (month ?? 0) - 1, day, hour, minute, second, Math.floor(fraction * 1000));
  const shown = new Date(atMs);
  // Date.UTC rolls 31 February over into March; a date that does not exist is none we should act on.
  if (shown.getUTCMonth() + 1 !== month || shown.getUTCDate() !== day) return 'unreadable';
  const offset = offsetMs(parts[8]);
  return offset === undefined ? 'unreadable' : atMs - offset;
}

const isTimeOfDay = (hour = 0, minute = 0, second = 0): boolean => hour < 24 && minute < 60 && second < 60;

function offsetMs(zoneText: string | undefined): number | undefined {
  if (zoneText === undefined || /^(?:z|utc)$/i.test(zoneText)) return 0;
  const hours = Number(zoneText.slice(1, 3));
  const minutes = Number(zoneText.slice(3).replace(':', '') || 0);
  if (hours > 23 || minutes > 59) return undefined;
  return (zoneText.startsWith('-') ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}
