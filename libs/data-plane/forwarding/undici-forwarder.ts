/**
 * The engine behind `Forwarder`: undici's `dispatch`, the cheapest of its interfaces. One object is the attempt, its
 * answer and undici's handler at once: three allocations fewer per request.
 */
import { Pool, type Dispatcher } from 'undici';
import type { Answer, AnswerSink, Attempt, Forwarder, Outgoing } from '@llmproxy/exchange';
import { NothingSent } from './core/failure.ts';

export interface UndiciForwarderOptions {
  /** Scheme, host and port. */
  origin: string;
  connectTimeoutMs: number;
  /** Longest wait for the response head, and longest silence inside a body; 0 = for ever. */
  timeoutMs: number;
}

// Below the 5 s after which uvicorn (vLLM, SGLang) closes an idle connection, so that we close first.
const idleConnectionMs = 4_000;

/** A pool of connections to one backend. */
export function openUndiciForwarder(options: UndiciForwarderOptions): Forwarder & { close(): Promise<void> } {
  const pool = new Pool(options.origin, {
    connect: { timeout: options.connectTimeoutMs },
    keepAliveTimeout: idleConnectionMs,
    headersTimeout: options.timeoutMs,
    bodyTimeout: options.timeoutMs,
    pipelining: 1,
    allowH2: false,
  });
  return {
    attempt(outgoing) {
      const attempt = new UndiciAttempt();
      attempt.start(pool, outgoing);
      return attempt;
    },
    close: () => pool.destroy(),
  };
}

class UndiciAttempt implements Attempt, Answer, Dispatcher.DispatchHandler {
  readonly answer: Promise<Answer>;
  status = 0;
  statusText = '';
  rawHeaders: string[] = [];

  #settle!: { resolve(answer: Answer): void; reject(cause: Error): void };
  #controller: Dispatcher.DispatchController | undefined;
  #sink: AnswerSink | undefined;
  /** Bytes that came with the head, before the relay asked for them. */
  #early: Buffer[] = [];
  #end: { cause: Error | null } | undefined;
  #aborted = false;

  constructor() {
    this.answer = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  start(pool: Pool, { method, target, rawHeaders, body }: Outgoing): void {
    pool.dispatch(
      {
        path: target,
        method: method as Dispatcher.HttpMethod,
        headers: rawHeaders as string[],
        body: body ?? null,
      },
      this,
    );
  }

  abort(): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#early = [];
    this.#controller?.abort(new Error('aborted by the gateway'));
    this.#settle.reject(new Error('aborted by the gateway'));
  }

  pour(sink: AnswerSink): void {
    this.#sink = sink;
    for (const chunk of this.#early) if (!sink.data(chunk)) this.#controller?.pause();
    this.#early = [];
    if (this.#end) this.#finish(this.#end.cause);
  }

  resume(): void {
    this.#controller?.resume();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#aborted) controller.abort(new Error('aborted by the gateway'));
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    _: unknown,
    statusText?: string,
  ): void {
    if (status < 200) return; // 102, 103: the real head follows
    this.status = status;
    this.statusText = reasonPhrase(statusText ?? '');
    this.rawHeaders = textHeaders(controller.rawHeaders);
    this.#settle.resolve(this);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#aborted) return;
    if (!this.#sink) this.#early.push(chunk);
    else if (!this.#sink.data(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    this.#finish(null);
  }

  onResponseError(_: unknown, cause: Error): void {
    // undici tells us the start right before it writes the first byte.
    this.#settle.reject(this.#controller ? cause : new NothingSent(cause));
    this.#finish(cause);
  }

  #finish(cause: Error | null): void {
    if (this.#aborted) return;
    if (!this.#sink) this.#end = { cause };
    else if (cause) this.#sink.error(cause);
    else this.#sink.end();
  }
}

/**
 * The reason phrase as one character per byte, which is how it is written again. undici decodes it as UTF-8; bytes that
 * were no UTF-8 are lost there, and control characters cannot be sent on: then the status has to do without one.
 */
function reasonPhrase(decoded: string): string {
  const latin1 = Buffer.from(decoded, 'utf8').toString('latin1');
  return decoded.includes('\ufffd') || unsendable.test(latin1) ? '' : latin1;
}

const unsendable = /[\x00-\x08\x0a-\x1f\x7f]/;

function textHeaders(raw: unknown): string[] {
  if (!Array.isArray(raw)) return [];
  return raw.map((part: unknown) => (Buffer.isBuffer(part) ? part.toString('latin1') : String(part)));
}
