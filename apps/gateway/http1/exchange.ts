/** One request on a connection, and its answer: the engine's side of the seam. */
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { GatewayError } from '@llmproxy/errors';
import type { Departure, Inbound, RawHeaders, Reply } from '@llmproxy/exchange';
import { departure } from '@llmproxy/forwarding';
import type { RequestHead } from './request-head.ts';
import { ResponseWriter } from './response-writer.ts';

const wellFormedRequestId = /^[A-Za-z0-9._-]{1,128}$/;
const noBody = Buffer.alloc(0);

/** What an exchange needs of its connection. */
export interface ExchangeConnection {
  readonly socket: Socket;
  /** True while shutting down: no further request on this connection. */
  isClosing(): boolean;
  /** Starts handing the body's bytes to `take`. */
  wantBody(): void;
  /** The answer is complete; `close` when no further request may follow. */
  answered(close: boolean): void;
}

export class Exchange implements Inbound, Reply {
  readonly requestId: string;
  readonly method: string;
  readonly target: string;
  readonly rawHeaders: RawHeaders;
  readonly peerAddress: string;
  readonly startedMs = performance.now();
  readonly #connection: ExchangeConnection;
  readonly #head: RequestHead;
  readonly #writer: ResponseWriter;
  #whenGone: ((why: Departure) => void)[] | undefined;
  #departure: Departure | undefined;
  #gone = false;
  /** The connection ends with this answer: its request will not come whole, or the body ends with it. */
  #mustClose = false;
  #bodyComplete: boolean;
  #bodyWanted = false;
  #body: { bytesMax: number; chunks: Buffer[]; bytes: number } | undefined;
  #bodyEnd: { resolve(body: Buffer): void; reject(error: GatewayError): void } | undefined;
  #bodyRefusal: GatewayError | undefined;

  constructor(head: RequestHead, connection: ExchangeConnection) {
    this.#head = head;
    this.#connection = connection;
    this.method = head.method;
    this.target = head.target;
    this.rawHeaders = head.rawHeaders;
    this.peerAddress = connection.socket.remoteAddress ?? '';
    this.#writer = new ResponseWriter(connection.socket, head);
    this.#bodyComplete = head.framing.kind === 'none';
    const presented = this.header('x-request-id');
    this.requestId =
      presented !== undefined && wellFormedRequestId.test(presented) ? presented : randomUUID();
  }

  get reply(): Reply {
    return this;
  }

  get begun(): boolean {
    return this.#writer.begun;
  }

  get answered(): boolean {
    return this.#writer.ended;
  }

  get gone(): boolean {
    return this.#gone;
  }

  get bodyComplete(): boolean {
    return this.#bodyComplete;
  }

  header(name: string): string | undefined {
    const { rawHeaders } = this;
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const candidate = rawHeaders[i] as string;
      if (candidate.length === name.length && candidate.toLowerCase() === name) return rawHeaders[i + 1];
    }
    return undefined;
  }

  onGone(then: (why: Departure) => void): void {
    if (this.#departure) then(this.#departure);
    else (this.#whenGone ??= []).push(then);
  }

  /** Ends the exchange from our side: whoever serves it tells the client and stops. */
  interrupt(): void {
    this.#depart('drain_ended');
  }

  /** The connection is gone, before the answer was complete. */
  clientLeft(): void {
    this.#gone = true;
    this.#depart('client_left');
  }

  body(bytesMax: number): Promise<Buffer> {
    const { framing } = this.#head;
    if (framing.kind === 'none') return Promise.resolve(noBody);
    if (framing.kind === 'length' && framing.bytes > bytesMax) return Promise.reject(tooLarge(bytesMax));
    if (this.#bodyRefusal) return Promise.reject(this.#bodyRefusal);
    if (this.#departure) return Promise.reject(departure(this.#departure));
    if (this.#head.expectsContinue) this.#connection.socket.write('HTTP/1.1 100 Continue\r\n\r\n');
    this.#bodyWanted = true;
    this.#body = { bytesMax, chunks: [], bytes: 0 };
    return new Promise((resolve, reject) => {
      this.#bodyEnd = { resolve, reject };
      this.#connection.wantBody();
    });
  }

  /** Takes bytes of the body, without their framing. */
  take(bytes: Buffer): void {
    const body = this.#body;
    if (!body) return; // refused already: what is left is read and dropped
    body.bytes += bytes.length;
    if (body.bytes > body.bytesMax) this.#refuse(tooLarge(body.bytesMax));
    else body.chunks.push(bytes);
  }

  bodyEnded(): void {
    this.#bodyComplete = true;
    const [body, end] = [this.#body, this.#bodyEnd];
    this.#body = this.#bodyEnd = undefined;
    if (!body) return;
    const [first, second] = body.chunks;
    end?.resolve(second === undefined ? (first ?? noBody) : Buffer.concat(body.chunks, body.bytes));
  }

  /** Refuses a body that will not come whole; false when it has come, or the request is answered already. */
  refuseBody(error: GatewayError): boolean {
    if (this.#bodyComplete || this.begun) return false;
    this.#mustClose = true;
    this.#bodyRefusal = error;
    this.#refuse(error);
    return true;
  }

  head(status: number, rawHeaders: RawHeaders, statusText?: string): void {
    if (this.#gone) return;
    // A client that waits for a 100 that never came may send its body all the same, or not: nobody could tell.
    if (this.#head.expectsContinue && !this.#bodyWanted) this.#mustClose = true;
    const close = this.#mustClose || !this.#head.keepAlive || this.#connection.isClosing();
    if (this.#writer.head(status, rawHeaders, statusText, close) || close) this.#mustClose = true;
  }

  flush(): void {
    if (!this.#gone) this.#writer.flush();
  }

  write(chunk: Uint8Array): boolean {
    return this.#gone || this.#writer.write(chunk);
  }

  onDrain(then: () => void): void {
    this.#connection.socket.once('drain', then);
  }

  end(chunk?: Uint8Array | string): void {
    if (this.#gone || this.#writer.ended) return;
    if (chunk !== undefined) this.#writer.write(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
    this.#writer.end();
    this.#connection.answered(this.#mustClose);
  }

  cut(): void {
    this.#connection.socket.destroySoon();
  }

  #refuse(error: GatewayError): void {
    const end = this.#bodyEnd;
    this.#body = this.#bodyEnd = undefined;
    end?.reject(error);
  }

  #depart(why: Departure): void {
    if (this.#departure || this.#writer.ended) return;
    this.#departure = why;
    this.#refuse(departure(why));
    const whenGone = this.#whenGone;
    this.#whenGone = undefined;
    for (const then of whenGone ?? []) then(why);
  }
}

const tooLarge = (bytesMax: number) =>
  new GatewayError(
    'request_too_large',
    `The request body is over the limit of ${bytesMax} bytes (server.max_body_size).`,
  );
