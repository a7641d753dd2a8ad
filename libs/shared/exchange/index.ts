/**
 * The seam between the HTTP engine and the stages. A stage sees a request as an `Inbound`, answers through its
 * `Reply`, and reaches a backend through a `Forwarder`; it never sees node:http or undici, so the engine can be
 * replaced without touching a stage.
 */

/** Header names and values in turn, exactly as they stood on the wire: `[name, value, name, value, …]`. */
export type RawHeaders = readonly string[];

/** Why an answer cannot be completed: the client left, or the gateway is ending it at the end of a drain. */
export type Departure = 'client_left' | 'drain_ended';

/** One request from a client. */
export interface Inbound {
  /** The client's `x-request-id` when it is well formed, else a new UUID. */
  readonly requestId: string;
  readonly method: string;
  /** Path and query exactly as received. */
  readonly target: string;
  readonly rawHeaders: RawHeaders;
  /** Address of the TCP peer. */
  readonly peerAddress: string;
  /** Milliseconds of the monotonic clock when the request head was read. */
  readonly startedMs: number;
  /** First value of a header; `name` in lower case. */
  header(name: string): string | undefined;
  /**
   * The whole body, read once.
   * @param bytesMax throws `request_too_large` before more than this many bytes are held
   */
  body(bytesMax: number): Promise<Buffer>;
  /** Runs `then` once if the exchange ends before its answer is complete; at once if it already has. */
  onGone(then: (why: Departure) => void): void;
  readonly reply: Reply;
}

/** The answer to a client, written in order: `head`, `write`…, `end`. */
export interface Reply {
  /** True once `head` was called: the status is spent. */
  readonly begun: boolean;
  /** True when the client has gone: writes are ignored. */
  readonly gone: boolean;
  head(status: number, rawHeaders: RawHeaders, statusText?: string): void;
  /** Sends the head without waiting for the first body byte. */
  flush(): void;
  /** Returns false when the client reads slower than we write; stop until `onDrain` runs. */
  write(chunk: Uint8Array): boolean;
  onDrain(then: () => void): void;
  end(chunk?: Uint8Array | string): void;
  /** Closes the connection without a clean end, after what was written has been sent: the client can tell. */
  cut(): void;
}

/** What is sent to a backend. */
export interface Outgoing {
  readonly method: string;
  readonly target: string;
  readonly rawHeaders: RawHeaders;
  readonly body: Buffer | undefined;
}

/** Where the bytes of an answer go. */
export interface AnswerSink {
  /** Returns false to pause the backend until `Answer.resume`. */
  data(chunk: Buffer): boolean;
  end(): void;
  error(cause: Error): void;
}

/** The head of an answer, with its body still flowing. */
export interface Answer {
  readonly status: number;
  readonly statusText: string;
  readonly rawHeaders: RawHeaders;
  /** Starts the body; call exactly once. */
  pour(sink: AnswerSink): void;
  resume(): void;
  /** Cancels the exchange with the backend; the sink hears nothing more. */
  abort(): void;
}

/** One attempt under way. */
export interface Attempt {
  /** Resolves with the head; rejects when there will be none. */
  readonly answer: Promise<Answer>;
  abort(): void;
}

/** Sends one request to one backend. */
export interface Forwarder {
  attempt(outgoing: Outgoing): Attempt;
}

/** Path of a request target: without query, and without origin when the target is absolute. */
export function pathOf(target: string): string {
  const queryAt = target.indexOf('?');
  const whole = queryAt === -1 ? target : target.slice(0, queryAt);
  return whole.startsWith('/') ? whole : whole.replace(/^https?:\/\/[^/]*/i, '');
}
