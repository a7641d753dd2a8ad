import { expect, test } from 'vitest';
import { MessageReader } from './http1.ts';
import {
  chatResponse,
  contentChunks,
  modelName,
  streamEnd,
  streamHead,
  streamScript,
} from './mock-answers.ts';

function bodyOf(response: Buffer): string {
  let body = '';
  const reader = new MessageReader('response', {
    head: () => undefined,
    body: (bytes) => {
      body += bytes.toString();
    },
    end: () => undefined,
  });
  reader.feed(response);
  expect(reader.isIdle).toBe(true);
  return body;
}

test('the answer to a chat request is 600 bytes of JSON with usage', () => {
  const body = bodyOf(chatResponse);
  expect(body).toHaveLength(600);
  expect(JSON.parse(body)).toMatchObject({ usage: { total_tokens: 350 } });
});

test('the model name chooses the shape of the stream', () => {
  const ask = { model: modelName(7, 20, 300), stream: true, stream_options: { include_usage: true } };
  expect(streamScript(JSON.stringify(ask))).toEqual({
    chunks: 7,
    paceMs: 20,
    eventBytes: 300,
    withUsage: true,
  });
  expect(streamScript('{"model": "other", "stream" : true}')).toEqual({
    chunks: 100,
    paceMs: 10,
    eventBytes: 200,
    withUsage: false,
  });
  expect(streamScript('{"model":"other","stream":false}')).toBeUndefined();
});

test('a stream is valid SSE in valid HTTP chunks, events of the size asked for', () => {
  const chunk = contentChunks(200);
  const events = bodyOf(Buffer.from(streamHead + chunk() + chunk() + streamEnd(true)))
    .split('\n\n')
    .slice(0, -1);
  expect(events[0]).toHaveLength(198); // without its blank line
  expect(events.at(-1)).toBe('data: [DONE]');
  const parsed = events.slice(0, -1).map((event) => JSON.parse(event.slice('data: '.length)) as unknown);
  expect(parsed).toMatchObject([
    { choices: [{ finish_reason: null }] },
    { choices: [{ finish_reason: null }] },
    { choices: [{ finish_reason: 'stop' }] },
    { choices: [], usage: { total_tokens: 350 } },
  ]);
});
