/**
 * Bytes to the client as they come. Guarantees: each chunk is written when it is read, unless the client reads slower
 * than the backend sends, and then the backend waits; a client that leaves cancels the backend at once; an answer that
 * breaks off never looks complete; the promise never rejects.
 */
import {
  renderError,
  renderStreamError,
  toGatewayError,
  type Dialect,
  type GatewayError,
} from '@llmproxy/errors';
import type { Answer, Departure, Inbound, RawHeaders, Reply } from '@llmproxy/exchange';
import { backendError } from './core/failure.ts';
import { isEventStream, responseHead } from './core/header-rules.ts';
import { departure, type Backend, type Forwarded } from './forward.ts';
import { observeDecoded } from './observe-decoded.ts';

/** Watches the bytes of one answer, and may take some out of the client's view. */
export interface AnswerObserver {
  /** The bytes for the client. */
  push(chunk: Buffer): readonly Buffer[];
  /** What was held back, once the answer is complete. */
  end(): readonly Buffer[];
}

/** How an answer went. */
export interface Relayed {
  readonly status: number;
  readonly outcome: 'completed' | 'client_closed' | 'truncated' | 'backend_error';
  /** Monotonic ms at which the first body byte came from the backend. */
  readonly firstByteMs: number | null;
  /** Body bytes given to the client's connection. */
  readonly bytes: number;
  readonly error: GatewayError | null;
}

export interface RelayOptions {
  dialect: Dialect;
  /** Monotonic ms. */
  nowMs(): number;
  /** What the client is told about its limits. */
  rateHeaders?: RawHeaders;
  /** Makes the observer for this answer. */
  observe(contentType: string): AnswerObserver;
}

/** Relays an answer, or renders the failure that there is instead of one. */
export function relay(
  forwarded: Forwarded<Backend>,
  inbound: Inbound,
  options: RelayOptions,
): Promise<Relayed> {
  if (forwarded.kind === 'failed') {
    return Promise.resolve(refuse(forwarded.error, inbound, options.dialect));
  }
  const { answer, backend } = forwarded;
  return new Promise((resolve) => new Relay(answer, backend, inbound, options, resolve).start());
}

/** Answers with an error of our own, if there is still someone to answer; an answer already begun is cut instead. */
export function refuse(error: GatewayError, inbound: Inbound, dialect: Dialect): Relayed {
  const { reply, requestId } = inbound;
  const { status, headers, body } = renderError(error, dialect, requestId);
  const gone = reply.gone || error.code === 'client_closed';
  if (!gone && !reply.begun) {
    reply.head(status, headers);
    reply.end(body);
  } else if (!gone) reply.cut();
  const outcome = gone ? 'client_closed' : 'backend_error';
  return {
    status: gone ? 499 : status,
    outcome,
    firstByteMs: null,
    bytes: gone ? 0 : Buffer.byteLength(body),
    error,
  };
}

const lineFeed = 0x0a;

class Relay {
  readonly #answer: Answer;
  readonly #backend: Backend | null;
  readonly #inbound: Inbound;
  readonly #reply: Reply;
  readonly #options: RelayOptions;
  readonly #resolve: (relayed: Relayed) => void;
  #observer!: AnswerObserver & { finished?(): Promise<void> };
  #isStream = false;
  #firstByteMs: number | null = null;
  #bytes = 0;
  /** Whether what the client has so far ends with an empty line: between two events of a stream. */
  #isBetweenEvents = true;
  #awaitsDrain = false;
  #done = false;

  // eslint-disable-next-line max-params -- one object per answer, made in one place
  constructor(
    answer: Answer,
    backend: Backend | null,
    inbound: Inbound,
    options: RelayOptions,
    resolve: (relayed: Relayed) => void,
  ) {
    this.#answer = answer;
    this.#backend = backend;
    this.#inbound = inbound;
    this.#reply = inbound.reply;
    this.#options = options;
    this.#resolve = resolve;
  }

  start(): void {
    this.#inbound.onGone((why) => this.#departed(why));
    if (this.#done) return;
    try {
      this.#begin();
    } catch (thrown) {
      // A head that cannot be written again: nothing may be left behind, neither the backend's bytes nor the client.
      this.#answer.abort();
      if (!this.#done) this.#refuse(toGatewayError(thrown));
    }
  }

  #begin(): void {
    const answer = this.#answer;
    const head = responseHead(answer.rawHeaders, {
      requestId: this.#inbound.requestId,
      secretHeaders: this.#backend?.secretHeaders,
      rateHeaders: this.#options.rateHeaders,
    });
    this.#isStream = isEventStream(head.contentType);
    const observer = this.#options.observe(head.contentType);
    this.#observer = head.contentEncoding ? observeDecoded(observer, head.contentEncoding) : observer;
    this.#reply.head(answer.status, head.headers, answer.statusText);
    answer.pour({
      data: (chunk) => this.#data(chunk),
      end: () => this.#end(),
      error: (cause) => this.#broken(cause),
    });
    // A stream whose first token is still being computed: the client learns now that its request was taken.
    if (this.#isStream && this.#firstByteMs === null && !this.#done) this.#reply.flush();
  }

  #data(chunk: Buffer): boolean {
    if (this.#done) return true;
    this.#firstByteMs ??= this.#options.nowMs();
    const flowing = this.#write(this.#observer.push(chunk));
    if (!flowing && !this.#awaitsDrain) {
      this.#awaitsDrain = true;
      this.#reply.onDrain(() => {
        this.#awaitsDrain = false;
        this.#answer.resume();
      });
    }
    return flowing;
  }

  #write(parts: readonly Buffer[]): boolean {
    let flowing = true;
    for (const part of parts) {
      this.#bytes += part.length;
      this.#isBetweenEvents =
        part.at(-1) === lineFeed && (part.at(-2) === lineFeed || part.at(-3) === lineFeed);
      flowing = this.#reply.write(part);
    }
    return flowing;
  }

  #end(): void {
    if (this.#done) return;
    this.#write(this.#observer.end());
    this.#reply.end();
    this.#finish('completed', null);
  }

  #broken(cause: Error): void {
    if (!this.#done) this.#breakOff(backendError(cause, this.#backend?.name ?? 'gateway'));
  }

  #departed(why: Departure): void {
    if (this.#done) return;
    this.#answer.abort();
    if (!this.#reply.begun) return this.#refuse(departure(why));
    if (why === 'drain_ended') return this.#breakOff(departure(why));
    this.#observer.end();
    this.#finish('client_closed', departure(why));
  }

  /** Ends an incomplete answer so that the client can tell: an error event in a stream, and never a clean end. */
  #breakOff(error: GatewayError): void {
    this.#write(this.#observer.end());
    if (this.#isStream) {
      const event = renderStreamError(error, this.#options.dialect, this.#inbound.requestId);
      // In the middle of an event of the backend ours would be a part of it; an empty line too many means nothing.
      this.#reply.write(Buffer.from(this.#isBetweenEvents ? event : `\n\n${event}`));
    }
    this.#reply.cut();
    this.#finish('truncated', error);
  }

  #refuse(error: GatewayError): void {
    this.#done = true;
    this.#resolve(refuse(error, this.#inbound, this.#options.dialect));
  }

  #finish(outcome: Relayed['outcome'], error: GatewayError | null): void {
    this.#done = true;
    const { status } = this.#answer;
    const result = {
      status,
      outcome: outcome === 'completed' && status >= 500 ? ('backend_error' as const) : outcome,
      firstByteMs: this.#firstByteMs,
      bytes: this.#bytes,
      error,
    };
    const finished = this.#observer.finished?.();
    if (finished) void finished.then(() => this.#resolve(result));
    else this.#resolve(result);
  }
}
