/** Character classes of Lua patterns (`%a`, `%d`, …) and of single bytes. ASCII only, as in the C locale. */

const within = (c: number, low: number, high: number): boolean => c >= low && c <= high;

export const isDigit = (c: number): boolean => within(c, 48, 57);
const isLower = (c: number): boolean => within(c, 97, 122);
const isUpper = (c: number): boolean => within(c, 65, 90);
const isLetter = (c: number): boolean => isLower(c) || isUpper(c);
export const isControl = (c: number): boolean => c < 32 || c === 127;
const isGraphic = (c: number): boolean => within(c, 33, 126);

const CLASSES: Readonly<Record<string, (c: number) => boolean>> = {
  a: isLetter,
  c: isControl,
  d: isDigit,
  g: isGraphic,
  l: isLower,
  p: (c) => isGraphic(c) && !isLetter(c) && !isDigit(c),
  s: (c) => c === 32 || within(c, 9, 13),
  u: isUpper,
  w: (c) => isLetter(c) || isDigit(c),
  x: (c) => isDigit(c) || within(c, 65, 70) || within(c, 97, 102),
};

/** One row of 256 answers per class letter, at the letter's code; the capital letter's row is the opposite. */
const ROWS: (Uint8Array | undefined)[] = Array.from({ length: 256 }, () => undefined);
for (const [letter, is] of Object.entries(CLASSES)) {
  ROWS[letter.charCodeAt(0)] = Uint8Array.from({ length: 256 }, (_, c) => (is(c) ? 1 : 0));
  ROWS[letter.toUpperCase().charCodeAt(0)] = Uint8Array.from({ length: 256 }, (_, c) => (is(c) ? 0 : 1));
}

/** Is `c` in the class `%<letter>`? A character that is no class letter stands for itself. */
export function inClass(c: number, letter: number): boolean {
  const row = ROWS[letter];
  return row === undefined ? c === letter : row[c] === 1;
}
