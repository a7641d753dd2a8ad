/** One request under way on one connection: the attempt and, once there is a head, the answer. */
import type { Answer, AnswerSink, Attempt } from '@llmproxy/exchange';
import type { ResponseStart } from './core/response-start.ts';

/** What an attempt asks of the connection that carries it. */
export interface Carrier {
  pause(): void;
  resume(): void;
  /** Ends the connection: the exchange on it was given up. */
  abandon(): void;
}

// Held while nobody asks for the body; beyond, the backend has to wait.
const earlyBytesMax = 64 * 1024;

/** States: waiting for a head → answered → ended; aborted from anywhere. Errors and the end are told once. */
export class Http1Attempt implements Attempt, Answer {
  readonly answer: Promise<Answer>;
  readonly method: string;
  status = 0;
  statusText = '';
  rawHeaders: string[] = [];
  carrier: Carrier | undefined;

  #resolve!: (answer: Answer) => void;
  #reject!: (cause: Error) => void;
  #sink: AnswerSink | undefined;
  /** Bytes that came before the relay asked for them. */
  #early: Buffer[] | undefined;
  #earlyBytes = 0;
  #ended: { cause: Error | null } | undefined;
  #aborted = false;

  constructor(method: string) {
    this.method = method;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get aborted(): boolean {
    return this.#aborted;
  }

  abort(): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#early = undefined;
    this.#sink = undefined;
    const { carrier } = this;
    this.carrier = undefined;
    carrier?.abandon();
    this.#reject(new Error('aborted by the gateway'));
  }

  pour(sink: AnswerSink): void {
    this.#sink = sink;
    const early = this.#early;
    this.#early = undefined;
    let flowing = true;
    for (const chunk of early ?? []) {
      flowing = sink.data(chunk);
      if (this.#aborted) return;
    }
    if (!flowing) this.carrier?.pause();
    else if (this.#earlyBytes > earlyBytesMax) this.carrier?.resume();
    if (this.#ended) this.#tellEnd(this.#ended.cause);
  }

  resume(): void {
    this.carrier?.resume();
  }

  head(start: ResponseStart): void {
    this.status = start.status;
    this.statusText = start.statusText;
    this.rawHeaders = start.rawHeaders;
    this.#resolve(this);
  }

  data(chunk: Buffer): void {
    if (this.#aborted) return;
    if (this.#sink) {
      if (!this.#sink.data(chunk)) this.carrier?.pause();
      return;
    }
    (this.#early ??= []).push(chunk);
    this.#earlyBytes += chunk.length;
    if (this.#earlyBytes > earlyBytesMax) this.carrier?.pause();
  }

  /** The whole answer has come (null), or there will be no more of it. */
  end(cause: Error | null): void {
    this.carrier = undefined;
    if (this.#aborted) return;
    if (cause) this.#reject(cause); // without effect once there was a head
    if (this.#sink) this.#tellEnd(cause);
    else this.#ended = { cause };
  }

  #tellEnd(cause: Error | null): void {
    const sink = this.#sink;
    if (cause) sink?.error(cause);
    else sink?.end();
  }
}
