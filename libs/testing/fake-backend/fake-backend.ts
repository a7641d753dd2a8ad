/** An LLM server on a real port that does what the test says, and remembers what it was asked. */
import type { RawHeaders } from '@llmproxy/exchange';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { anthropic } from './anthropic-plays.ts';
import { openai } from './openai-plays.ts';
import { perform } from './perform.ts';
import { play, type Play } from './play.ts';

export interface RecordedRequest {
  readonly method: string;
  /** Path and query as received. */
  readonly target: string;
  /** Names and values in turn, as they stood on the wire. */
  readonly rawHeaders: RawHeaders;
  readonly body: Buffer;
  /** First value of a header; `name` in lower case. */
  header(name: string): string | undefined;
  /** @throws SyntaxError when the body is no JSON */
  json(): unknown;
  /** Resolves when the client went away before its answer was complete. */
  readonly aborted: Promise<void>;
  /** Resolves when the answer was handed to the network whole. */
  readonly answered: Promise<void>;
}

/** A play, or what chooses one for a request. */
export type PlayFor = Play | ((request: RecordedRequest) => Play | Promise<Play>);

export interface FakeBackend {
  /** `http://127.0.0.1:<port>`, without a trailing slash. */
  readonly url: string;
  readonly port: number;
  /** In the order in which their bodies were complete. */
  readonly requests: readonly RecordedRequest[];
  /** Requests whose answer is neither complete nor given up. */
  readonly openRequests: number;
  /** Connections accepted since the start. */
  readonly connections: number;
  /** From now on the play of every request with this path (query left aside). */
  on(path: string, playFor: PlayFor): void;
  /** Plays for the next requests, whatever their path, one each; they come before those of `on`. */
  enqueue(...plays: PlayFor[]): void;
  /** Resolves with the first `count` requests once so many have come. */
  arrived(count: number): Promise<readonly RecordedRequest[]>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface FakeBackendOptions {
  /** Path → play, over the ready ones for the paths of the OpenAI and Anthropic APIs. */
  plays?: Readonly<Record<string, PlayFor>>;
  /** Default 0: a free one. */
  port?: number;
}

const readyPlays: Readonly<Record<string, PlayFor>> = {
  '/health': play.bytes('ok'),
  '/v1/models': openai.models(),
  '/v1/chat/completions': openai.chat(),
  '/v1/completions': openai.completions(),
  '/v1/embeddings': openai.embeddings(),
  '/v1/responses': openai.responses(),
  '/v1/messages': anthropic.messages(),
};

/** Starts a fake backend on 127.0.0.1. Requests without a play get 501 and its path. */
export async function startFakeBackend(options: FakeBackendOptions = {}): Promise<FakeBackend> {
  const backend = new ScriptedServer({ ...readyPlays, ...options.plays });
  await backend.listen(options.port ?? 0);
  return backend;
}

class ScriptedServer implements FakeBackend {
  readonly requests: RecordedRequest[] = [];
  openRequests = 0;
  connections = 0;
  /** Kept after the end, for tests of a backend that is gone. */
  port = 0;
  readonly #byPath: Map<string, PlayFor>;
  readonly #queue: PlayFor[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #server: Server;

  constructor(plays: Readonly<Record<string, PlayFor>>) {
    this.#byPath = new Map(Object.entries(plays));
    const limits = {
      requestTimeout: 0,
      headersTimeout: 0,
      keepAliveTimeout: 60_000,
      maxHeaderSize: 1024 * 1024,
    };
    this.#server = createServer(limits, (request, response) => void this.#serve(request, response));
    this.#server.on('connection', () => this.connections++);
    this.#server.on('clientError', (_, socket) => socket.destroy());
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async listen(port: number): Promise<void> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as AddressInfo).port;
  }

  on(path: string, playFor: PlayFor): void {
    this.#byPath.set(path, playFor);
  }

  enqueue(...plays: PlayFor[]): void {
    this.#queue.push(...plays);
  }

  async arrived(count: number): Promise<readonly RecordedRequest[]> {
    while (this.requests.length < count) {
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
    return this.requests.slice(0, count);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.openRequests++;
    const gone = new Promise<void>((resolve) => {
      response.once('close', () => {
        this.openRequests--;
        resolve();
      });
    });
    request.on('error', () => undefined); // a client that leaves shows as `gone`
    response.on('error', () => undefined);
    const body = await readBody(request);
    if (!body) return;
    const recorded = record(request, response, body);
    this.requests.push(recorded);
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
    const path = recorded.target.split('?', 1)[0] ?? '';
    const chosen = this.#queue.shift() ?? this.#byPath.get(path) ?? noPlay(recorded);
    await perform(typeof chosen === 'function' ? await chosen(recorded) : chosen, response, gone);
  }
}

const noPlay = ({ method, target }: RecordedRequest): Play =>
  play.bytes(`the fake backend has no play for ${method} ${target}`, 'text/plain', { status: 501 });

async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    return undefined; // the client went away while it was sending
  }
  return Buffer.concat(chunks);
}

function record(request: IncomingMessage, response: ServerResponse, body: Buffer): RecordedRequest {
  const aborted = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  // Plays that write to the socket themselves end without the response knowing: for them only `aborted` is told.
  response.once('close', () => (response.writableFinished ? answered : aborted).resolve());
  return {
    method: request.method ?? '',
    target: request.url ?? '',
    rawHeaders: request.rawHeaders,
    body,
    header: (name) => {
      const at = request.rawHeaders.findIndex((text, i) => i % 2 === 0 && text.toLowerCase() === name);
      return at === -1 ? undefined : request.rawHeaders[at + 1];
    },
    json: () => JSON.parse(body.toString()) as unknown,
    aborted: aborted.promise,
    answered: answered.promise,
  };
}
