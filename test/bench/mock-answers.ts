/** What the mock backend says; the model name of a request chooses the shape of its stream. */
import { monotonicMicros } from './monotonic.ts';

/** How one stream is to run. */
export interface StreamScript {
  readonly chunks: number;
  /** Milliseconds between chunks; 0: as fast as the reader takes them. */
  readonly paceMs: number;
  /** Bytes of one SSE event, its blank line included. */
  readonly eventBytes: number;
  readonly withUsage: boolean;
}

const scriptedModel = /"model"\s*:\s*"bench-(\d+)x(\d+)x(\d+)"/;
const wantsStream = /"stream"\s*:\s*true/;
const wantsUsage = /"include_usage"\s*:\s*true/;

/** Name of the model whose streams have this shape. */
export function modelName(chunks: number, paceMs: number, eventBytes = 200): string {
  return `bench-${chunks}x${paceMs}x${eventBytes}`;
}

/** The stream a chat request asks for; undefined when it does not ask for one. */
export function streamScript(body: string): StreamScript | undefined {
  if (!wantsStream.test(body)) return undefined;
  const [, chunks = '100', paceMs = '10', eventBytes = '200'] = scriptedModel.exec(body) ?? [];
  return {
    chunks: Number(chunks),
    paceMs: Number(paceMs),
    eventBytes: Number(eventBytes),
    withUsage: wantsUsage.test(body),
  };
}

function response(status: string, contentType: string, body: string): Buffer {
  return Buffer.from(
    `HTTP/1.1 ${status}\r\ncontent-type: ${contentType}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

export const jsonResponse = (value: unknown): Buffer =>
  response('200 OK', 'application/json', JSON.stringify(value));

const usage = { prompt_tokens: 250, completion_tokens: 100, total_tokens: 350 };

/** Bytes of the body of every answer that is not a stream. */
export const answerBodyBytes = 600;

function chatAnswer(): Buffer {
  const body = (content: string): string =>
    JSON.stringify({
      id: 'chatcmpl-bench',
      object: 'chat.completion',
      created: 1_700_000_000,
      model: 'bench',
      choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
      usage,
    });
  return response('200 OK', 'application/json', body('x'.repeat(answerBodyBytes - body('').length)));
}

export const chatResponse = chatAnswer();
export const notFound = response('404 Not Found', 'application/json', '{"error":{"message":"no such path"}}');
export const healthy = jsonResponse({ status: 'ok' });
export const models = jsonResponse({
  object: 'list',
  data: [{ id: 'bench', object: 'model', created: 1_700_000_000, owned_by: 'bench' }],
});

export const streamHead =
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n' +
  'transfer-encoding: chunked\r\n\r\n';

const chunked = (event: string): string => `${event.length.toString(16)}\r\n${event}\r\n`;

const chunkStart = '{"id":"c-1","object":"chat.completion.chunk","created":1700000000,"model":"m",';
/** Stands before the send time (16 digits, monotonic microseconds) in every content chunk. */
export const stampMark = '"system_fingerprint":"us-';
export const stampDigits = 16;

/** Makes the content chunks of one size; each carries the time at which it was made. */
export function contentChunks(eventBytes: number): () => string {
  const before = `data: ${chunkStart}${stampMark}`;
  const after = (content: string): string =>
    `","choices":[{"index":0,"delta":{"content":"${content}"},"finish_reason":null}]}\n\n`;
  const padding = Math.max(1, eventBytes - before.length - stampDigits - after('').length);
  const tail = after('y'.repeat(padding));
  const size = (before.length + stampDigits + tail.length).toString(16);
  const start = `${size}\r\n${before}`;
  const end = `${tail}\r\n`;
  return () => start + String(monotonicMicros()).padStart(stampDigits, '0') + end;
}

/** The end of a stream: finish reason, usage when asked for, `[DONE]`, last HTTP chunk. */
export function streamEnd(withUsage: boolean): string {
  const finish = `data: ${chunkStart}"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n`;
  const counted = `data: ${chunkStart}"choices":[],"usage":${JSON.stringify(usage)}}\n\n`;
  return chunked(finish) + (withUsage ? chunked(counted) : '') + chunked('data: [DONE]\n\n') + '0\r\n\r\n';
}
