/** What the fake backend does with one request, as data; `play` has the usual ones ready made. */
import type { RawHeaders } from '@llmproxy/exchange';
import { setTimeout as delay } from 'node:timers/promises';
import type { Gate } from './gate.ts';
import { cutAt, gzipSteps, inPieces } from './steps.ts';

/**
 * One thing in the course of a body: bytes are written in one piece of their own, a gate is waited for, a function is
 * called and waited for. (No bare promises: `for await` would resolve them on the way.)
 */
export type Step = string | Uint8Array | Gate | (() => Promise<unknown> | void);
export type Steps = Iterable<Step> | AsyncIterable<Step>;

/**
 * How it stops: `end` as HTTP wants it; `reset` with a TCP RST; `cut` by closing the connection without the last
 * chunk or the missing bytes; `hang` not at all.
 */
export type Ending = 'end' | 'reset' | 'cut' | 'hang';

export type Play =
  | {
      kind: 'http';
      status: number;
      /** Sent as they are, in this order; without `content-length` the body is chunked. */
      headers: RawHeaders;
      body: Steps;
      ending: Ending;
      /** The head is sent only after this. */
      headAfter?: Gate;
    }
  /** Bytes on the socket, HTTP or not. */
  | { kind: 'raw'; bytes: Steps; ending: Ending };

export interface PlayOptions {
  /** Default 200. */
  status?: number;
  /** Added to the `content-type` that the play has by itself. */
  headers?: RawHeaders;
  /** Default `end`. */
  ending?: Ending;
  headAfter?: Gate;
}

type HttpPlay = Extract<Play, { kind: 'http' }>;

function http(contentType: string, body: Steps, options: PlayOptions = {}): HttpPlay {
  return {
    kind: 'http',
    status: options.status ?? 200,
    headers: ['content-type', contentType, ...(options.headers ?? [])],
    body,
    ending: options.ending ?? 'end',
    ...(options.headAfter && { headAfter: options.headAfter }),
  };
}

function sized(contentType: string, body: Buffer, options: PlayOptions = {}): HttpPlay {
  const headers = [...(options.headers ?? []), 'content-length', String(body.length)];
  return http(contentType, body.length > 0 ? [body] : [], { ...options, headers });
}

/** A frame from what its `data:` shall say (an object is made JSON), or of several lines with an `event:`. */
const frame = (data: unknown): string =>
  `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;

const withBody = (of: HttpPlay, body: Steps, headers: RawHeaders = of.headers): HttpPlay => ({
  ...of,
  headers,
  body,
});

function without(headers: RawHeaders, name: string): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const [header = '', value = ''] = headers.slice(i, i + 2);
    if (header.toLowerCase() !== name) kept.push(header, value);
  }
  return kept;
}

function* repeated(bytes: number): Iterable<Uint8Array> {
  const piece = Buffer.alloc(64 * 1024, 'llm-');
  for (let left = bytes; left > 0; left -= piece.length)
    yield left < piece.length ? piece.subarray(0, left) : piece;
}

/** The usual plays. Those that take a play change its body and leave the rest. */
export const play = {
  json: (value: unknown, options?: PlayOptions): HttpPlay =>
    sized('application/json', Buffer.from(JSON.stringify(value)), options),
  /** Any body with a `content-length`; of type text/plain unless `headers` name another. */
  bytes: (body: string | Uint8Array, contentType = 'text/plain', options?: PlayOptions): HttpPlay =>
    sized(contentType, Buffer.from(body), options),
  /** An event stream; every step of bytes reaches the network in a write of its own. */
  stream: (steps: Steps, options?: PlayOptions): HttpPlay =>
    http('text/event-stream; charset=utf-8', steps, options),
  frame,
  /** A body of so many bytes that is never held in memory. */
  huge: (bytes: number, options: PlayOptions = {}): HttpPlay => {
    const headers = [...(options.headers ?? []), 'content-length', String(bytes)];
    return http('application/octet-stream', repeated(bytes), { ...options, headers });
  },
  /** Never answers. */
  hang: (): Play => ({ kind: 'raw', bytes: [], ending: 'hang' }),
  /** Resets the connection instead of answering. */
  reset: (): Play => ({ kind: 'raw', bytes: [], ending: 'reset' }),
  /** Writes these bytes instead of an answer. */
  raw: (bytes: Steps, ending: Ending = 'cut'): Play => ({ kind: 'raw', bytes, ending }),
  /** Compresses the body; a stream is flushed after each step, as compressing proxies do. */
  gzipped: (of: HttpPlay): HttpPlay =>
    withBody(of, gzipSteps(of.body), [...without(of.headers, 'content-length'), 'content-encoding', 'gzip']),
  /** Cuts the body at these byte offsets. */
  cutAt: (of: HttpPlay, offsets: readonly number[]): HttpPlay => withBody(of, cutAt(of.body, offsets)),
  /** Cuts the body into pieces of `bytes`, with `pauseMs` between them: a slow drip. */
  inPieces: (of: HttpPlay, bytes: number, pauseMs = 0): HttpPlay =>
    withBody(of, inPieces(of.body, bytes, pauseMs)),
  /** A step that waits; gates are better where the test can tell when to go on. */
  pause: (ms: number) => (): Promise<void> => delay(ms),
};
