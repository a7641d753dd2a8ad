import fc from 'fast-check';
import { expect, test } from 'vitest';
import { askForUsage } from './ask-for-usage.ts';
import { scanRequest } from './request-scan.ts';
import { requestTexts } from './testing/json-texts.ts';

function ask(text: string): { text: string; asked: boolean } {
  const body = Buffer.from(text);
  const scan = scanRequest(body);
  if ('error' in scan) throw new Error(scan.error);
  const result = askForUsage(body, scan);
  return { text: result.body.toString(), asked: result.asked };
}

test.each([
  ['no options', '{"stream":true}', '{"stream_options":{"include_usage":true},"stream":true}'],
  [
    'a byte order mark',
    '\ufeff {"stream":true}',
    '\ufeff {"stream_options":{"include_usage":true},"stream":true}',
  ],
  [
    'empty options',
    '{"stream":true,"stream_options":{ }}',
    '{"stream":true,"stream_options":{"include_usage":true }}',
  ],
  [
    'other options',
    '{"stream":true,"stream_options":{"x":1}}',
    '{"stream":true,"stream_options":{"include_usage":true,"x":1}}',
  ],
  [
    'null options',
    '{"stream":true,"stream_options":null}',
    '{"stream":true,"stream_options":{"include_usage":true}}',
  ],
  [
    'usage refused',
    '{"stream_options":{"include_usage": false},"stream":true}',
    '{"stream_options":{"include_usage": true},"stream":true}',
  ],
  [
    'usage null',
    '{"stream_options":{"include_usage":null},"stream":true}',
    '{"stream_options":{"include_usage":true},"stream":true}',
  ],
  [
    'the last of two options',
    '{"stream_options":{},"stream":true,"stream_options":null}',
    '{"stream_options":{},"stream":true,"stream_options":{"include_usage":true}}',
  ],
])('a stream asks for its usage: %s', (_, text, expected) => {
  expect(ask(text)).toEqual({ text: expected, asked: true });
});

test.each([
  ['the client asked', '{"stream":true,"stream_options":{"include_usage":true}}'],
  ['no stream', '{"stream":false,"stream_options":{"include_usage":false}}'],
  ['stream not said', '{"model":"m"}'],
  ['options of a wrong type', '{"stream":true,"stream_options":[]}'],
  ['an option of a wrong type', '{"stream":true,"stream_options":{"include_usage":"yes"}}'],
])('a request stays byte for byte the same: %s', (_, text) => {
  expect(ask(text)).toEqual({ text, asked: false });
});

test('the new body says the same as the old one and asks for usage', () => {
  fc.assert(
    fc.property(requestTexts, (text) => {
      const before = JSON.parse(text) as Record<string, unknown>;
      const result = ask(text);
      const after = JSON.parse(result.text) as Record<string, unknown>;
      if (!result.asked) {
        expect(result.text).toBe(text);
        return;
      }
      const options = (before['stream_options'] ?? {}) as object;
      expect(before['stream']).toBe(true);
      expect(after).toEqual({ ...before, stream_options: { ...options, include_usage: true } });
    }),
    { numRuns: 500 },
  );
});

test('every stream whose options are an object, null or absent asks for usage in the end', () => {
  fc.assert(
    fc.property(requestTexts, (text) => {
      const { stream, stream_options: options } = JSON.parse(text) as Record<string, unknown>;
      const isOpen = options === undefined || (typeof options === 'object' && !Array.isArray(options));
      if (stream !== true || !isOpen) return;
      expect(JSON.parse(ask(text).text)).toMatchObject({ stream_options: { include_usage: true } });
    }),
    { numRuns: 500 },
  );
});
