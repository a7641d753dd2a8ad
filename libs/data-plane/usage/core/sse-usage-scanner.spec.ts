import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SseUsageScanner } from './sse-usage-scanner.ts';
import { cutAt } from './testing/json-texts.ts';
import {
  ANTHROPIC_STREAM,
  CHAT_EVENT,
  DONE_EVENT,
  RESPONSES_STREAM,
  USAGE_EVENT,
  events,
} from './testing/streams.ts';

function read(pieces: readonly (string | Buffer)[]): ReturnType<SseUsageScanner['result']> {
  const scanner = new SseUsageScanner();
  for (const piece of pieces) scanner.push(Buffer.from(piece));
  scanner.end();
  return scanner.result();
}

const CHAT_USAGE = { prompt_tokens: 19, completion_tokens: 10, total_tokens: 29 };

test.each([
  ['OpenAI chat', [CHAT_EVENT, CHAT_EVENT, USAGE_EVENT, DONE_EVENT], CHAT_USAGE, true],
  ['a stream that asked for no usage', [CHAT_EVENT, DONE_EVENT], null, true],
  ['a stream that was cut', [CHAT_EVENT, USAGE_EVENT], CHAT_USAGE, false],
  [
    'Anthropic: prompt first, output last',
    ANTHROPIC_STREAM,
    { prompt_tokens: 32, completion_tokens: 15, total_tokens: 47, cached_tokens: 7, cache_write_tokens: 0 },
    true,
  ],
  [
    'Responses',
    RESPONSES_STREAM,
    { prompt_tokens: 36, completion_tokens: 87, total_tokens: 123, cached_tokens: 0, reasoning_tokens: 5 },
    true,
  ],
  [
    'vLLM continuous usage: the last one counts',
    [1, 2, 3].map(
      (n) =>
        `data: {"choices":[{}],"usage":{"prompt_tokens":5,"completion_tokens":${n},"total_tokens":${5 + n}}}\n\n`,
    ),
    { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 },
    false,
  ],
])('the usage and the end of a stream are known: %s', (_, pieces, usage, ended) => {
  expect(read(pieces)).toEqual({ usage, ended, failed: false });
});

const COUNTS = '"usage":{"prompt_tokens":1,"completion_tokens":2}';
test.each([
  ['LF', `data: {${COUNTS}}\n\n`],
  ['CRLF', `data: {${COUNTS}}\r\n\r\n`],
  ['CR', `data: {${COUNTS}}\r\r`],
  ['line ends of all kinds', `: x\rid: 1\r\ndata: {${COUNTS}}\n\r\n`],
  ['no space after the colon', `data:{${COUNTS}}\n\n`],
  ['several data lines', `data: {"id":"x",\ndata: ${COUNTS},\ndata:"choices":[]}\n\n`],
  [
    'comments and other fields in between',
    `: hi\nid: 1\nretry: 5\ndata: {\n: hi\nevent: x\ndata: ${COUNTS}}\n\n`,
  ],
  ['a byte order mark', `\ufeffdata: {${COUNTS}}\n\n`],
  ['no blank line at the end', `data: {${COUNTS}}`],
  ['an event too long to be held', `data: {"choices":["${'x'.repeat(300_000)}"],${COUNTS}}\n\n`],
])('an event is understood with %s', (_, stream) => {
  expect(read([stream]).usage).toMatchObject({ prompt_tokens: 1, completion_tokens: 2 });
});

test.each([
  ['another field', `dat: {${COUNTS}}\n\ndatax: {${COUNTS}}\n\n`],
  ['a comment', `:data: {${COUNTS}}\n\n`],
  ['a leading space', ` data: {${COUNTS}}\n\n`],
  ['a byte order mark on the second line', `\n\ufeffdata: {${COUNTS}}\n\n`],
  ['two events that only together are one document', `data: {\n\ndata: ${COUNTS}}\n\n`],
])('what is no data is not read: %s', (_, stream) => {
  expect(read([stream]).usage).toBeNull();
});

test.each([
  ['[DONE]', 'data: [DONE]\n\n', true],
  ['[DONE] without a space and line end', 'data:[DONE]', true],
  ['[DONE] and more', 'data: [DONE]x\n\n', false],
  ['half of it', 'data: [DON\n\n', false],
  ['message_stop', 'data: {"type":"message_stop"}\n\n', true],
  ['response.completed', 'data: {"type":"response.completed"}\n\n', true],
  ['response.incomplete', 'data: {"type":"response.incomplete"}\n\n', true],
  ['response.failed', 'data: {"type":"response.failed"}\n\n', true],
  ['a finish_reason alone', 'data: {"choices":[{"finish_reason":"stop"}]}\n\n', false],
  ['a type deeper down', 'data: {"delta":{"type":"message_stop"}}\n\n', false],
])('a stream is ended by its own mark: %s', (_, stream, ended) => {
  expect(read([stream]).ended).toBe(ended);
});

test.each([
  ['an error object', 'data: {"error":{"message":"no"}}\n\n', true],
  ['an error event', 'event: error\ndata: no\n\n', true],
  ['an error event without a space', 'event:error\ndata:no\n\n', true],
  ['Anthropic', 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n', true],
  ['Responses', 'data: {"type":"response.failed","response":{}}\n\n', true],
  ['a null error', 'data: {"error":null,"choices":[]}\n\n', false],
  ['an event whose name begins so', 'event: errors\ndata: {}\n\n', false],
  ['talk of errors', 'data: {"choices":[{"delta":{"content":"\\"error\\":{}"}}]}\n\n', false],
])('an error in the stream is noticed: %s', (_, stream, failed) => {
  expect(read([stream]).failed).toBe(failed);
});

const streams = fc
  .tuple(events, fc.infiniteStream(fc.constantFrom('\n', '\r\n', '\r')), fc.boolean())
  .map(([all, ends, hasBom]) => {
    const eol = (): string => ends.next().value as string;
    const texts = all.map(({ lines }) => [...lines, ''].map((line) => line + eol()).join(''));
    return Buffer.from((hasBom ? '\ufeff' : '') + texts.join(''));
  });

test('an event that begins like the ones before it is read by what it holds', () => {
  const head = `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m",`;
  const tails = [
    '"choices":[{"delta":{"content":"a"}}]}',
    '"choices":[{"delta":{"content":"\\\\"}}]}',
    '"choices":[],"usage":null}',
    `"choices":[],${COUNTS}}`,
    '"error":{"message":"no"}}',
    '"type":"message_stop"}',
    '',
  ];
  const alone = (tail: string): unknown => read([`data: ${head}${tail}\n\n`]);
  fc.assert(
    fc.property(fc.array(fc.nat(6), { maxLength: 8 }), fc.nat(6), (before, last) => {
      const scanner = new SseUsageScanner();
      const calm = before.map((i) => tails[i % 3] as string);
      for (const tail of calm) scanner.push(Buffer.from(`data: ${head}${tail}\n\n`));
      scanner.push(Buffer.from(`data: ${head}${tails[last] as string}\n\n`));
      expect(scanner.result()).toEqual(alone(tails[last] as string));
    }),
  );
});

test('usage does not depend on where the network cut the stream', () => {
  const fixed = [CHAT_EVENT, USAGE_EVENT, ...ANTHROPIC_STREAM, ...RESPONSES_STREAM, DONE_EVENT].join('');
  for (const stream of [fixed, fixed.replaceAll('\n', '\r\n')].map((text) => Buffer.from(text))) {
    expect(read(cutAt(stream, [...stream.keys()]))).toEqual(read([stream]));
  }
  fc.assert(
    fc.property(streams, fc.array(fc.nat(), { maxLength: 12 }), (stream, places) => {
      const whole = read([stream]);
      expect(read(cutAt(stream, places))).toEqual(whole);
      expect(read(cutAt(stream, [...stream.keys()]))).toEqual(whole);
    }),
    { numRuns: 500 },
  );
});
