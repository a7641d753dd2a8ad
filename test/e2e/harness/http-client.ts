/** A client that tells what SDKs hide: when the first byte came, and whether the answer ended as HTTP wants it. */
import { request, type IncomingHttpHeaders } from 'node:http';
import { testKey } from './gateway.ts';

export interface Ask {
  readonly method?: string;
  /** Sent as JSON unless it is text. */
  readonly body?: unknown;
  /** In place of those that present the test key. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Ended {
  readonly text: string;
  /** False when the connection broke before the end that HTTP wants. */
  readonly isComplete: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Body so far. */
  text(): string;
  readonly ended: Promise<Ended>;
  /** Closes the connection at once. */
  leave(): void;
}

/**
 * Sends a request on a connection of its own; resolves with the head of the answer.
 * @throws the error of the connection when there is none
 */
export function send(address: string, path: string, ask: Ask = {}): Promise<Answer> {
  const body = ask.body === undefined || typeof ask.body === 'string' ? ask.body : JSON.stringify(ask.body);
  const headers: Record<string, string> = {
    ...(body !== undefined && {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
    }),
    ...(ask.headers ?? { authorization: `Bearer ${testKey}` }),
  };
  const method = ask.method ?? (body === undefined ? 'GET' : 'POST');
  return new Promise((resolve, reject) => {
    const outgoing = request(new URL(path, address), { method, headers, agent: false });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('error', () => undefined); // told by isComplete
      const ended = new Promise<Ended>((done) =>
        response.once('close', () => done({ text, isComplete: response.complete })),
      );
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        text: () => text,
        ended,
        leave: () => outgoing.destroy(),
      });
    });
    outgoing.end(body);
  });
}

/** The status and the whole text of an answer. */
export async function fetchText(
  address: string,
  path: string,
  ask: Ask = {},
): Promise<Ended & { status: number; headers: IncomingHttpHeaders }> {
  const { status, headers, ended } = await send(address, path, ask);
  return { status, headers, ...(await ended) };
}
