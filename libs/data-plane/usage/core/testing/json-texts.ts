/** JSON as clients may write it: white space, escapes and repeated keys where the grammar allows them. */
import fc from 'fast-check';

const space = fc.constantFrom('', '', '', ' ', '\n', '\t \r');

/** A JSON string, some of its characters written as escapes. */
function spelled(text: string): fc.Arbitrary<string> {
  return fc.array(fc.boolean(), { minLength: text.length, maxLength: text.length }).map((escaped) => {
    const hex = (at: number): string => text.charCodeAt(at).toString(16).padStart(4, '0');
    const quoted = (at: number): string => JSON.stringify(text.charAt(at)).slice(1, -1);
    // Half of a surrogate pair must not be written alone; JSON.stringify escapes it, which is what we want.
    return `"${[...escaped].map((escape, at) => (escape ? `\\u${hex(at)}` : quoted(at))).join('')}"`;
  });
}

const anyText = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('"', '\\', '{', '}', 'n', ',', ':'), maxLength: 200 }),
);
const anyValue = fc.oneof(
  fc.json({ maxDepth: 4 }),
  anyText.map((text) => JSON.stringify(text)),
);
const numbers = fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }));
const counts = fc.oneof(
  numbers.map((number) => JSON.stringify(number)),
  anyValue,
);

const options = fc
  .array(
    fc.oneof(
      fc.tuple(spelled('include_usage'), fc.constantFrom('true', 'false', 'null')),
      fc.tuple(anyText.chain(spelled), anyValue),
    ),
    { maxLength: 4 },
  )
  .chain((members) => objectOf(members));

function objectOf(members: readonly (readonly [string, string])[]): fc.Arbitrary<string> {
  const count = members.length;
  return fc.array(space, { minLength: 4 * count + 1, maxLength: 4 * count + 1 }).map((spaces) => {
    const texts = members.map(([key, value], i) => {
      const at = 4 * i + 1;
      return `${spaces[at]}${key}${spaces[at + 1]}:${spaces[at + 2]}${value}${spaces[at + 3]}`;
    });
    return `{${texts.join(',') || spaces[0]}}`;
  });
}

const member = fc.oneof(
  fc.tuple(spelled('model'), fc.oneof(anyText.chain(spelled), fc.constant('null'))),
  fc.tuple(spelled('stream'), fc.constantFrom('true', 'true', 'false', 'null')),
  fc.tuple(spelled('stream_options'), fc.oneof(options, options, fc.constant('null'), anyValue)),
  fc.tuple(
    fc.constantFrom('max_tokens', 'max_completion_tokens', 'max_output_tokens', 'n').chain(spelled),
    counts,
  ),
  fc.tuple(anyText.chain(spelled), anyValue),
);

/** The text of a request whose `model` and `stream` have the right types. */
export const requestTexts: fc.Arbitrary<string> = fc
  .tuple(space, fc.array(member, { maxLength: 8 }).chain(objectOf), space)
  .map((parts) => parts.join(''));

/** The text cut into pieces at the given places, each taken modulo the length. */
export function cutAt(bytes: Buffer, places: readonly number[]): Buffer[] {
  const cuts = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...cuts, bytes.length].map((cut, i) => bytes.subarray(i === 0 ? 0 : cuts[i - 1], cut));
}
