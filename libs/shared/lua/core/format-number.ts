/** The number formats of `string.format`, as C's printf writes them. Widths and precisions have at most two digits. */

/** One conversion: `%-08.3f` is flags `-0`, width 8, precision 3, conversion `f`. */
export interface Conversion {
  flags: string;
  width: number;
  precision: number | undefined;
  letter: string;
}

const SPECIFICATION = /^([-+ #0]{0,5})(\d{0,2})(?:\.(\d{0,2}))?([a-zA-Z])/;

/** Reads what follows a `%`, and how long it is; undefined when it is no conversion. */
export function readConversion(text: string): { conversion: Conversion; length: number } | undefined {
  const found = SPECIFICATION.exec(text);
  if (found === null) return undefined;
  const [all, flags = '', width = '', precision, letter = ''] = found;
  return {
    conversion: {
      flags,
      width: Number(width),
      precision: precision === undefined ? undefined : Number(precision),
      letter,
    },
    length: all.length,
  };
}

/** Fills up to the width: with spaces, or with zeros between sign and digits. */
export function pad(text: string, { flags, width }: Conversion, zeros: boolean): string {
  if (text.length >= width) return text;
  if (flags.includes('-')) return text.padEnd(width);
  if (!zeros || !flags.includes('0')) return text.padStart(width);
  const sign = /^[-+ ]?(0[xX])?/.exec(text)?.[0] ?? '';
  return sign + text.slice(sign.length).padStart(width - sign.length, '0');
}

function signOf(value: number, flags: string): string {
  if (value < 0 || Object.is(value, -0)) return '-';
  if (flags.includes('+')) return '+';
  return flags.includes(' ') ? ' ' : '';
}

/**
 * `%d %i %u %o %x %X` of a number without fraction. Negative numbers are 64-bit two's complement in octal and hexadecimal.
 */
export function formatInteger(value: number, conversion: Conversion): string {
  const { letter, flags, precision } = conversion;
  const digits = integerDigits(value, letter).padStart(precision ?? 0, '0');
  let prefix = '';
  if ('diu'.includes(letter)) prefix = signOf(value + 0, flags);
  else if (letter !== 'o' && flags.includes('#') && value !== 0) prefix = '0x';
  const text = pad(prefix + digits, conversion, precision === undefined);
  return letter === 'X' ? text.toUpperCase() : text;
}

function integerDigits(value: number, letter: string): string {
  const magnitude = BigInt(Math.abs(value));
  if ('diu'.includes(letter)) return magnitude.toString();
  return (value < 0 ? BigInt.asUintN(64, -magnitude) : magnitude).toString(letter === 'o' ? 8 : 16);
}

/** `1e+5` → `1e+05`: C writes at least two digits of exponent. */
const twoDigitExponent = (text: string): string => text.replace(/e([-+])(\d)$/, 'e$10$2');

function general(magnitude: number, precision: number, keepZeros: boolean): string {
  const digits = precision === 0 ? 1 : precision;
  const exponent = magnitude === 0 ? 0 : Number(magnitude.toExponential(digits - 1).split('e')[1]);
  const scientific = exponent < -4 || exponent >= digits;
  const text = scientific ? magnitude.toExponential(digits - 1) : magnitude.toFixed(digits - 1 - exponent);
  if (keepZeros) return twoDigitExponent(text);
  return twoDigitExponent(text.replace(/(\.\d*?)0+(e|$)/, '$1$2').replace(/\.(e|$)/, '$1'));
}

function fixed(magnitude: number, precision: number): string {
  if (magnitude < 1e21) return magnitude.toFixed(precision);
  return BigInt(magnitude).toString() + (precision > 0 ? `.${'0'.repeat(precision)}` : '');
}

/** `%e %E %f %F %g %G` */
export function formatFloat(value: number, conversion: Conversion): string {
  const { flags, precision = 6, letter } = conversion;
  const magnitude = Math.abs(value);
  let digits: string;
  if (Number.isNaN(value)) digits = 'nan';
  else if (magnitude === Infinity) digits = 'inf';
  else if (letter === 'f' || letter === 'F') digits = fixed(magnitude, precision);
  else if (letter === 'e' || letter === 'E') digits = twoDigitExponent(magnitude.toExponential(precision));
  else digits = general(magnitude, precision, flags.includes('#'));
  const text = signOf(value, flags) + digits;
  return pad(letter < 'a' ? text.toUpperCase() : text, conversion, Number.isFinite(value));
}
