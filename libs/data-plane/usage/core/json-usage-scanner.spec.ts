import fc from 'fast-check';
import { expect, test } from 'vitest';
import { JsonUsageScanner } from './json-usage-scanner.ts';
import { cutAt } from './testing/json-texts.ts';

const USAGE = '{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}';
const COUNTED = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };

function read(...pieces: readonly (string | Buffer)[]): ReturnType<JsonUsageScanner['result']> {
  const scanner = new JsonUsageScanner();
  for (const piece of pieces) scanner.push(Buffer.from(piece));
  return scanner.result();
}

test.each([
  ['at the top', `{"id":"x","choices":[{"message":{"content":"hi"}}],"usage":${USAGE}}`],
  ['first of all', `{"usage":${USAGE},"choices":[]}`],
  ['under response', `{"type":"response.completed","response":{"output":[{"a":[]}],"usage":${USAGE}}}`],
  ['under message', `{"message":{"role":"assistant","usage":${USAGE},"content":[]},"type":"message_start"}`],
  ['pretty-printed', `{\n  "choices": [],\n  "usage" : ${USAGE.replaceAll(',', ',\n    ')}\n}\n`],
  ['its key escaped', `{"us\\u0061ge":${USAGE}}`],
  ['after a byte order mark', `\ufeff{"usage":${USAGE}}`],
  ['the last of two', `{"usage":{"prompt_tokens":1,"completion_tokens":1},"usage":${USAGE}}`],
  ['before a null', `{"usage":${USAGE},"usage":null}`],
  ['after a broken one', `{"usage":{"prompt_tokens":x},"usage":${USAGE}}`],
  ['in a body that was cut afterwards', `{"usage":${USAGE},"choices":[{"mess`],
])('usage is found %s', (_, body) => {
  expect(read(body).usage).toEqual(COUNTED);
});

test.each([
  ['content', `{"choices":[{"message":{"content":${JSON.stringify(`{"usage":${USAGE}}`)}}}]}`],
  [
    'tool arguments',
    `{"choices":[{"message":{"tool_calls":[{"function":{"arguments":{"usage":${USAGE}}}}]}}]}`,
  ],
  ['another member', `{"meta":{"usage":${USAGE}},"x":[{"usage":${USAGE}}]}`],
  ['two levels down', `{"response":{"response":{"usage":${USAGE}},"message":{"usage":${USAGE}}}}`],
  ['an array at the top', `[{"usage":${USAGE}}]`],
  ['a string', `{"usage":${JSON.stringify(USAGE)}}`],
  [
    'a string after one that ends in backslashes',
    `{"a":"${'x'.repeat(90)}\\\\","b":"\\\\\\",\\"usage\\":${USAGE.replaceAll('"', '\\"')}"}`,
  ],
  ['a key that begins like it', `{"usages":${USAGE},"usag":${USAGE},"Usage":${USAGE}}`],
  ['text that is not JSON', `usage: ${USAGE}`],
  ['an object larger than 16 KB', `{"usage":{"pad":"${'x'.repeat(17_000)}",${USAGE.slice(1)}}`],
])('a look-alike is not usage: in %s', (_, body) => {
  expect(read(body).usage).toBeNull();
});

test('a body is ended when its last bracket came', () => {
  expect(read(`{"usage":${USAGE}`).ended).toBe(false);
  expect(read(`{"usage":${USAGE}`, '} \n').ended).toBe(true);
  expect(read('{}', 'x').ended).toBe(false);
  expect(read('').ended).toBe(false);
});

test.each([
  ['{"error":{"message":"no"}}', true],
  ['{"type":"error","error":{"type":"overloaded_error"}}', true],
  ['{"object":"error","message":"no"}', true],
  ['{"id":"resp_1","object":"response","error":null}', false],
  ['{"choices":[{"error":{"message":"no"}}]}', false],
  ['{"type":"message","content":[{"type":"error"}]}', false],
])('an error in the body is noticed at its place: %s is %s', (body, failed) => {
  expect(read(body).failed).toBe(failed);
});

test('a million nested brackets are passed over', () => {
  expect(read('{"a":', '['.repeat(1_000_000), ']'.repeat(1_000_000), `,"usage":${USAGE}}`).usage).toEqual(
    COUNTED,
  );
});

const awkward = fc.oneof(
  fc.json({ maxDepth: 5 }),
  fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text)),
  fc
    .string({ unit: fc.constantFrom('\\', '"', 'é', '{', ']'), maxLength: 300 })
    .map((text) => JSON.stringify(text)),
);
const bodies = fc
  .tuple(
    fc.array(fc.tuple(fc.oneof(fc.string(), fc.constantFrom('choices', 'type', 'message')), awkward), {
      maxLength: 5,
    }),
    fc.array(fc.constantFrom(`"usage":${USAGE}`, `"\\u0075sage":${USAGE}`, `"response":{"usage":${USAGE}}`), {
      maxLength: 2,
    }),
    fc.boolean(),
  )
  .map(([members, usages, usageFirst]) => {
    const others = members.map(([key, value]) => `${JSON.stringify(`${key}_`)}:${value}`);
    return `{${(usageFirst ? [...usages, ...others] : [...others, ...usages]).join(',')}}`;
  });

test('what is read does not depend on where the network cut the body', () => {
  fc.assert(
    fc.property(bodies, fc.array(fc.nat(), { maxLength: 12 }), (body, places) => {
      const bytes = Buffer.from(body);
      const whole = read(bytes);
      expect(whole).toEqual({
        usage: body.includes(`:${USAGE}`) ? whole.usage : null,
        ended: true,
        failed: false,
      });
      expect(read(...cutAt(bytes, places))).toEqual(whole);
      expect(read(...cutAt(bytes, [...bytes.keys()]))).toEqual(whole);
    }),
    { numRuns: 300 },
  );
});

test('usage is found whatever else the body holds', () => {
  fc.assert(
    fc.property(bodies, (body) => {
      const { usage, response } = JSON.parse(body) as { usage?: unknown; response?: { usage?: unknown } };
      expect(read(body).usage).toEqual(usage ?? response?.usage ?? null);
    }),
    { numRuns: 300 },
  );
});

test('any bytes at all are read without complaint and the same in any pieces', () => {
  const noise = fc.string({
    unit: fc.constantFrom('{', '}', '[', ']', '"', '\\', ':', ',', '"usage":', '"choices":', ' ', '1'),
    maxLength: 60,
  });
  fc.assert(
    fc.property(noise, (text) => {
      const bytes = Buffer.from(text);
      expect(read(...cutAt(bytes, [...bytes.keys()]))).toEqual(read(bytes));
    }),
    { numRuns: 1000 },
  );
});
