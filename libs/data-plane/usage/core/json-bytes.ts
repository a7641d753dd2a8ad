/**
 * Bytes of JSON, and the one search every scanner here stands on: where does a string end.
 * A scanner that trusts these never decodes text it does not need.
 */

export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const OPEN_ARRAY = 0x5b;
export const BACKSLASH = 0x5c;
export const CLOSE_ARRAY = 0x5d;
export const OPEN_OBJECT = 0x7b;
export const CLOSE_OBJECT = 0x7d;

/** `[` and `{` become the same byte when OR-ed with this, and so do `]` and `}`; no other byte joins them. */
export const FOLD = 0x20;

/** Starting a native search costs as much as looking at about this many bytes (scanners.bench.ts). */
const LOOK_AHEAD = 48;

/** True for the four bytes JSON allows between tokens. */
export function isSpace(byte: number): boolean {
  return byte <= SPACE && (byte === SPACE || byte === LF || byte === CR || byte === 0x09);
}

/** The ASCII bytes of `text`, to compare with {@link equals}. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** Whether `bytes` stand in `buffer` at `at`. */
export function equals(buffer: Uint8Array, at: number, bytes: Uint8Array): boolean {
  // Reading past the end would make every later comparison here a slow one.
  if (at + bytes.length > buffer.length) return false;
  for (let i = 0; i < bytes.length; i++) if (buffer[at + i] !== bytes[i]) return false;
  return true;
}

/**
 * Whether the byte at `at` is escaped: an odd number of backslashes stands directly before it.
 * @param from where to stop counting; the byte there is known not to be escaped
 */
export function isEscaped(buffer: Uint8Array, from: number, at: number): boolean {
  let first = at;
  while (first > from && buffer[first - 1] === BACKSLASH) first--;
  return ((at - first) & 1) === 1;
}

/**
 * Index of the quote that ends the string whose text starts at `from`, or -1 when it is not in
 * `buffer[from, end)`. The byte at `from` must not be escaped. Each byte is looked at a bounded number of times
 * whatever the text is.
 */
export function closingQuote(buffer: Buffer, from: number, end: number): number {
  const near = from + LOOK_AHEAD < end ? from + LOOK_AHEAD : end;
  const i = quoteBefore(buffer, from, near);
  if (i < near) return i;
  return i < end ? farClosingQuote(buffer, i, end) : -1;
}

/** The same for long strings: native search, with a look at what follows each escaped quote. */
function farClosingQuote(buffer: Buffer, from: number, end: number): number {
  let i = from;
  while (i < end) {
    const quote = buffer.indexOf(QUOTE, i);
    if (quote === -1 || quote >= end) return -1;
    if (!isEscaped(buffer, i, quote)) return quote;
    const near = quote + LOOK_AHEAD < end ? quote + LOOK_AHEAD : end;
    i = quoteBefore(buffer, quote + 1, near);
    if (i < near) return i;
  }
  return -1;
}

/** Index of the first unescaped quote before `near`, or the first index from `near` on that is not escaped. */
function quoteBefore(buffer: Buffer, from: number, near: number): number {
  let i = from;
  while (i < near) {
    const byte = buffer[i];
    if (byte === QUOTE) return i;
    i += byte === BACKSLASH ? 2 : 1;
  }
  return i;
}

/** 1 for the bytes that begin or end a string, an array or an object. */
const STOPS = new Uint8Array(256);
for (const byte of [QUOTE, OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT]) STOPS[byte] = 1;

/** Index of the next bracket or quote in `buffer[from, end)`, or `end`. */
export function nextBracketOrQuote(buffer: Buffer, from: number, end: number): number {
  let i = from;
  while (i < end && STOPS[buffer[i] as number] === 0) i++;
  return i;
}
