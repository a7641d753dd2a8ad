/** Single fields of a key, in all the forms that JSON, Redis hashes and SQL rows have for them. */

/** What a source says of a key, as it said it. */
export type KeyData = Readonly<Record<string, unknown>>;

/** A value that is there but makes no sense. Nothing is concluded from it but that the key cannot be used. */
export const unreadable = Symbol('unreadable');
export type Unreadable = typeof unreadable;

const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/** The first of the names that has a value. */
export function fieldOf(data: KeyData, ...names: string[]): unknown {
  for (const name of names) {
    const value = Object.hasOwn(data, name) ? data[name] : undefined;
    if (value !== undefined && value !== null && value !== '') return value;
  }
  return undefined;
}

/** A number or a numeric text; null when there is none. */
export function numberFrom(value: unknown): number | null | Unreadable {
  if (value === undefined) return null;
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'number') return Number.isNaN(value) ? unreadable : value;
  if (typeof value === 'string' && decimal.test(value.trim())) return Number(value);
  return unreadable;
}

/** A text; a number is one too, as ids often are. Null when there is none. */
export function textFrom(value: unknown): string | null {
  if (typeof value === 'string') return value === '' ? null : value;
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  return null;
}

/** A list, its JSON text, or a text with commas; empty when there is none. */
export function listFrom(value: unknown): readonly string[] | Unreadable {
  if (value === undefined) return [];
  if (typeof value === 'string') {
    const text = value.trim();
    if (text.startsWith('[')) return listFrom(jsonFrom(text));
    return text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
  }
  if (!Array.isArray(value) || !value.every((entry) => typeof entry === 'string')) return unreadable;
  return value;
}

/** A plain object, or its JSON text; null when there is none. */
export function objectFrom(value: unknown): KeyData | null | Unreadable {
  if (value === undefined) return null;
  const parsed = typeof value === 'string' ? jsonFrom(value) : value;
  return isObject(parsed) ? parsed : unreadable;
}

export const isObject = (value: unknown): value is KeyData =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function jsonFrom(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return unreadable;
  }
}
