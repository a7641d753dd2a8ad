/** A span of time, or a reading of a clock, in milliseconds. */
export type Ms = number;

const msPerUnit: Readonly<Record<string, Ms>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3, // U+00B5, what most keyboards type
  μs: 1e-3, // U+03BC, what Go prints
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

const number = String.raw`(?:\d+\.?\d*|\.\d+)`;
const unit = '(?:ns|us|µs|μs|ms|s|m|h)';
const wholeText = new RegExp(`^(?:0|(?:${number}${unit})+)$`);
const oneTerm = new RegExp(`(${number})(${unit})`, 'g');

/**
 * Reads a duration in Go's syntax, such as `500ms`, `1.5s` or `1h30m`.
 * @returns milliseconds, never negative; fractions are kept (`1us` is 0.001)
 * @throws RangeError when the text is no duration. A number without a unit is refused because nobody can tell
 *   seconds from milliseconds; only `0` needs none. The message does not repeat the text, which may be a
 *   misplaced secret.
 */
export function parseDuration(text: string): Ms {
  if (!wholeText.test(text)) throw new RangeError(whyNoDuration(text));
  let total = 0;
  for (const [, amount, name] of text.matchAll(oneTerm))
    total += Number(amount) * (msPerUnit[name ?? ''] ?? 0);
  // 0.1 + 0.2 style noise below a nanosecond is not something the user wrote.
  return Math.round(total * 1e6) / 1e6;
}

function whyNoDuration(text: string): string {
  if (/^[+-]?[\d.]+$/.test(text)) return 'a duration needs a unit: write 30s or 500ms, not a bare number';
  if (/^-/.test(text)) return 'a duration cannot be negative';
  return 'not a duration: write it like 30s, 500ms or 1h30m (units: ns, us, ms, s, m, h)';
}
