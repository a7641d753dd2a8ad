import { expect, test } from 'vitest';
import { createAnswerScanner } from './answer-scanner.ts';
import { CHAT_EVENT, USAGE_EVENT } from './testing/streams.ts';

const BODY = '{"usage":{"prompt_tokens":1,"completion_tokens":2}}';
const COUNTED = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };

test.each([
  ['application/json', BODY, COUNTED, true],
  ['Application/JSON; charset=utf-8', BODY, COUNTED, true],
  ['application/vnd.api+json', BODY, COUNTED, true],
  ['text/event-stream; charset=utf-8', `data: ${BODY}\n\n`, COUNTED, false],
  ['text/event-stream', `data: ${BODY}\n\ndata: [DONE]\n\n`, COUNTED, true],
  ['text/plain', BODY, null, null],
  [undefined, BODY, null, null],
])('an answer is read by its content type: %s', (contentType, text, usage, ended) => {
  const scanner = createAnswerScanner({ contentType, hideUsageChunk: false });
  const chunk = Buffer.from(text);
  expect(scanner.push(chunk)).toEqual([chunk]);
  expect(scanner.push(chunk.subarray(0, 0))).toEqual([Buffer.alloc(0)]);
  expect(scanner.end()).toEqual([]);
  expect(scanner.result()).toEqual({ usage, ended, failed: false });
});

test('the usage chunk is hidden from a stream when asked, and only there', () => {
  const stream = createAnswerScanner({ contentType: 'text/event-stream', hideUsageChunk: true });
  expect(stream.push(Buffer.from(CHAT_EVENT + USAGE_EVENT)).map(String)).toEqual([CHAT_EVENT]);
  const json = createAnswerScanner({ contentType: 'application/json', hideUsageChunk: true });
  const body = Buffer.from(`{"choices":[],${BODY.slice(1)}`);
  expect(json.push(body)[0]).toBe(body);
});

test('compressed bytes pass unread', () => {
  const kind = { contentType: 'text/event-stream', hideUsageChunk: true };
  const chunk = Buffer.from(USAGE_EVENT);
  const scanner = createAnswerScanner({ ...kind, contentEncoding: 'gzip' });
  expect(scanner.push(chunk)[0]).toBe(chunk);
  expect(scanner.result()).toEqual({ usage: null, ended: null, failed: false });
  expect(createAnswerScanner({ ...kind, contentEncoding: 'identity' }).push(chunk)).toEqual([]);
});
