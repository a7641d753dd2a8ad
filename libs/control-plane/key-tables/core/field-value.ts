/** Values of columns as they cross to the gateway: what JSON can hold, nothing lost and nothing rounded. */

/** PostgreSQL's infinities, as far as RFC 3339 can write them; MySQL's zero date is no date. */
const oddTimes: ReadonlyMap<string, string | null> = new Map([
  ['infinity', '9999-12-31T23:59:59.999Z'],
  ['-infinity', '0001-01-01T00:00:00.000Z'],
  ['0000-00-00', null],
  ['0000-00-00 00:00:00', null],
]);

const sqlTime = /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?(?:Z|([+-]\d\d)(?::?(\d\d))?)?$/;

/**
 * A date or a time as SQL writes it, in RFC 3339; without a zone it is UTC. What cannot be read stays as it is: who
 * evaluates the key refuses it then.
 */
export function rfc3339(text: string): string | null {
  const odd = oddTimes.get(text.replace(/\.0+$/, ''));
  if (odd !== undefined) return odd;
  const [, date, time = '00:00:00', hours, minutes = '00'] = sqlTime.exec(text) ?? [];
  if (date === undefined) return text;
  const at = new Date(`${date}T${time}${hours === undefined ? 'Z' : `${hours}:${minutes}`}`);
  return Number.isNaN(at.getTime()) ? text : at.toISOString();
}

/** A value of a driver as JSON can hold it. */
export function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint') return plainInteger(value);
  // JSON would write null, which reads as "no limit".
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? String(value) : value.toISOString();
  if (Array.isArray(value)) return value.map(plainValue);
  return value ?? null;
}

/** A number while a double holds it exactly, else its digits. */
export function plainInteger(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}
