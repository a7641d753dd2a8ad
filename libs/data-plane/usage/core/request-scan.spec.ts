import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { scanRequest, type RequestScan } from './request-scan.ts';
import { requestTexts } from './testing/json-texts.ts';

const NOTHING_SAID = {
  model: null,
  stream: false,
  stream_options: null,
  max_tokens: null,
  max_completion_tokens: null,
  max_output_tokens: null,
  n: null,
};

function scan(text: string): unknown {
  return scanRequest(Buffer.from(text));
}

function scanned(text: string): RequestScan {
  const result = scanRequest(Buffer.from(text));
  if ('error' in result) throw new Error(result.error);
  return result;
}

describe('the fields of a request are read', () => {
  test.each<[string, string, Partial<RequestScan>]>([
    ['no field of ours', '{}', {}],
    ['model and stream', '{"model":"gpt-4o","stream":true}', { model: 'gpt-4o', stream: true }],
    ['white space everywhere', ' \r\n{\t"model" : "m" ,\n "n" : 2 } \n', { model: 'm', n: 2 }],
    ['a byte order mark', '\ufeff{"model":"m"}', { model: 'm' }],
    ['escapes in a key', '{"mod\\u0065l":"m"}', { model: 'm' }],
    ['every character of a key escaped', '{"\\u006e":3}', { n: 3 }],
    ['escapes in the value', '{"model":"a\\/b\\u00e9\\"c"}', { model: 'a/bé"c' }],
    ['a model that is not ASCII', '{"model":"模型-7b"}', { model: '模型-7b' }],
    ['the last of two keys', '{"model":"a","model":"b"}', { model: 'b' }],
    ['the last of two spellings of a key', '{"n":1,"\\u006e":2}', { n: 2 }],
    ['null as if absent', '{"model":null,"stream":null,"n":null}', {}],
    ['null over an earlier value', '{"model":"a","stream":true,"model":null,"stream":null}', {}],
    [
      'numbers',
      '{"max_tokens":16,"max_completion_tokens":1e3}',
      { max_tokens: 16, max_completion_tokens: 1000 },
    ],
    [
      'a number of any kind',
      '{"max_output_tokens":-0.5,"n":12345678901234567890}',
      { max_output_tokens: -0.5, n: 12345678901234567890 },
    ],
    ['a number too large for a double as unknown', '{"n":1e999}', {}],
    ['a number of another type as unknown', '{"n":"2","max_tokens":[1],"max_output_tokens":true}', {}],
    [
      'look-alikes inside values',
      '{"a":{"model":"x","stream":true},"b":["n",{"n":1}],"c":"\\"model\\":\\"y\\""}',
      {},
    ],
    [
      'a tool call full of escapes',
      `{"messages":[{"content":"${'\\\\\\"model\\\\\\":'.repeat(50)}"}],"model":"m"}`,
      { model: 'm' },
    ],
    [
      'a text that ends in backslashes',
      `{"prompt":"${'x'.repeat(100)}\\\\\\\\","model":"m"}`,
      { model: 'm' },
    ],
    ['keys of other spellings', '{"Model":"x","models":"y","mode":"z","":1}', {}],
  ])('%s', (_, text, expected) => {
    expect(scan(text)).toEqual({ ...NOTHING_SAID, ...expected });
  });

  test('stream_options tells where it stands and what it asks', () => {
    expect(scanned('{"stream_options": {"x":[1],"include_usage": false} }').stream_options).toEqual({
      start: 19,
      end: 51,
      kind: 'object',
      isEmpty: false,
      include_usage: { start: 45, end: 50, value: false, isNull: false },
    });
    expect(scanned('{"stream_options":{ }}').stream_options).toMatchObject({
      isEmpty: true,
      include_usage: null,
    });
    expect(scanned('{"stream_options":null}').stream_options).toMatchObject({ kind: 'null' });
    expect(
      scanned('{"stream_options":{"include_usage":true},"stream_options":[]}').stream_options,
    ).toMatchObject({ kind: 'other', include_usage: null });
  });
});

test.each([
  ['', 'the body is empty, a JSON object was expected (byte 0)'],
  [' \n', 'the body is empty, a JSON object was expected (byte 2)'],
  ['[]', 'the body must be a JSON object (byte 0)'],
  ['model=x', 'the body must be a JSON object (byte 0)'],
  ['{', 'the body ends where a field name in double quotes was expected (byte 1)'],
  ['{model:1}', 'expected a field name in double quotes (byte 1)'],
  ['{"a":1,}', 'expected a field name in double quotes (byte 7)'],
  ['{"a" 1}', 'expected ":" after the field name (byte 5)'],
  ['{"a', 'this string is not closed (byte 1)'],
  ['{"a":"b', 'this string is not closed (byte 5)'],
  ['{"a":"b\\"', 'this string is not closed (byte 5)'],
  ['{"a":[{"b":"c]}', 'this string is not closed (byte 11)'],
  ['{"a":[1,[2]', 'this bracket is not closed (byte 5)'],
  ['{"a":[1}', 'this bracket does not match the one at byte 5 (byte 7)'],
  ['{"a":1 "b":2}', 'expected "," or "}" (byte 7)'],
  ['{"a":1', 'the body ends where "," or "}" was expected (byte 6)'],
  ['{"a":}', 'expected a JSON value (byte 5)'],
  ['{"a":', 'the body ends where a JSON value was expected (byte 5)'],
  ['{"a":tru}', 'expected a JSON value (byte 5)'],
  ['{"a":truely}', 'expected "," or "}" (byte 9)'],
  ['{"a":01}', 'expected "," or "}" (byte 6)'],
  ['{"a":1.}', 'expected a JSON value (byte 5)'],
  ['{"a":-}', 'expected a JSON value (byte 5)'],
  ['{"a":1e+}', 'expected a JSON value (byte 5)'],
  ['{"a":NaN}', 'expected a JSON value (byte 5)'],
  ['{"a":1}}', 'unexpected text after the JSON object (byte 7)'],
  ['{"stream":"yes"}', '`stream` must be true or false (byte 10)'],
  ['{"model":"m","stream":1}', '`stream` must be true or false (byte 22)'],
  ['{"model":7}', '`model` must be a string (byte 9)'],
  ['{"model":"\\q"}', '`model` is not a valid JSON string (byte 9)'],
  ['{"model":"a\nb"}', '`model` is not a valid JSON string (byte 9)'],
])('a malformed body is told what is wrong and where: %j', (text, error) => {
  expect(scan(text)).toEqual({ error });
});

test('a million nested brackets are read like any other value', () => {
  const deep = '['.repeat(1_000_000);
  expect(scan(`{"a":${deep}${']'.repeat(1_000_000)},"model":"m"}`)).toMatchObject({ model: 'm' });
  expect(scan(`{"a":${deep}`)).toEqual({ error: 'this bracket is not closed (byte 5)' });
  expect(scan(deep)).toEqual({ error: 'the body must be a JSON object (byte 0)' });
});

test('what is read agrees with JSON.parse for every valid body', () => {
  fc.assert(
    fc.property(requestTexts, (text) => {
      const parsed = JSON.parse(text) as Record<string, unknown>;
      const number = (name: string): unknown => (typeof parsed[name] === 'number' ? parsed[name] : null);
      expect(scan(text)).toMatchObject({
        model: parsed['model'] ?? null,
        stream: parsed['stream'] ?? false,
        max_tokens: number('max_tokens'),
        max_completion_tokens: number('max_completion_tokens'),
        max_output_tokens: number('max_output_tokens'),
        n: number('n'),
      });
    }),
    { numRuns: 500 },
  );
});

test('no bytes whatever make it throw, and what it refuses JSON.parse refuses too', () => {
  const damaged = fc.tuple(
    requestTexts,
    fc.nat(),
    fc.constantFrom('', '"', '\\', '{', ']', ',', '7', 'x', '\u0000'),
  );
  fc.assert(
    fc.property(damaged, ([text, at, insert]) => {
      const cut = at % (text.length + 1);
      const broken = text.slice(0, cut) + insert + text.slice(cut + 1);
      const result = scanRequest(Buffer.from(broken));
      if (!('error' in result) || result.error.includes('must be')) return;
      expect(() => JSON.parse(broken) as unknown).toThrow();
    }),
    { numRuns: 500 },
  );
});
