/** The node:http side of the seam: one `Inbound` and its `Reply` around a request and a response of the engine. */
import { randomUUID } from 'node:crypto';
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { GatewayError } from '@llmproxy/errors';
import type { Departure, Inbound, RawHeaders, Reply } from '@llmproxy/exchange';
import { departure } from '@llmproxy/forwarding';

const wellFormedRequestId = /^[A-Za-z0-9._-]{1,128}$/;
const noBody = Buffer.alloc(0);

export interface HttpInboundOptions {
  /** True while shutting down: the connection is not kept alive after this answer. */
  isClosing(): boolean;
  /** The client waits for `100 Continue` before it sends the body. */
  expectsContinue: boolean;
}

export class HttpInbound implements Inbound, Reply {
  readonly requestId: string;
  readonly method: string;
  readonly target: string;
  readonly peerAddress: string;
  readonly startedMs: number;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #options: HttpInboundOptions;
  #whenGone: ((why: Departure) => void)[] = [];
  #gone = false;
  #departure: Departure | undefined;
  /** The connection ends with this answer, because its request did not come whole. */
  #closing = false;
  /** Set while the body is being read. */
  #rejectBody: ((error: GatewayError) => void) | undefined;
  /** What is wrong with the body, when that is known before it is read. */
  #bodyRefusal: GatewayError | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, options: HttpInboundOptions) {
    this.#request = request;
    this.#response = response;
    this.#options = options;
    const presented = request.headers['x-request-id'];
    this.requestId =
      typeof presented === 'string' && wellFormedRequestId.test(presented) ? presented : randomUUID();
    this.method = request.method ?? 'GET';
    this.target = request.url ?? '/';
    this.peerAddress = request.socket.remoteAddress ?? '';
    this.startedMs = performance.now();
    response.once('close', () => this.#closed());
    if (!response.socket) this.#watchQueued(request.socket);
  }

  /** A pipelined request's response gets the socket after those before it; until then only the socket tells who left. */
  #watchQueued(socket: Socket): void {
    const closed = () => this.#closed();
    socket.setMaxListeners(0); // one for each request in the queue
    socket.once('close', closed);
    this.#response.once('close', () => socket.off('close', closed));
  }

  get socket(): Socket {
    return this.#request.socket;
  }

  get reply(): Reply {
    return this;
  }

  get rawHeaders(): RawHeaders {
    return this.#request.rawHeaders;
  }

  get begun(): boolean {
    return this.#response.headersSent;
  }

  get gone(): boolean {
    return this.#gone;
  }

  header(name: string): string | undefined {
    const value = this.#request.headers[name];
    return typeof value === 'string' ? value : value?.[0];
  }

  onGone(then: (why: Departure) => void): void {
    if (this.#departure) then(this.#departure);
    else this.#whenGone.push(then);
  }

  /** Ends the exchange from our side: whoever serves it tells the client and stops. */
  interrupt(): void {
    this.#depart('drain_ended');
  }

  async body(bytesMax: number): Promise<Buffer> {
    const request = this.#request;
    const announced = request.headers['content-length'];
    if (announced === undefined && request.headers['transfer-encoding'] === undefined) return noBody;
    if (announced !== undefined && Number(announced) > bytesMax) throw tooLarge(bytesMax);
    if (this.#bodyRefusal) throw this.#bodyRefusal;
    if (this.#options.expectsContinue) this.#response.writeContinue();
    return new Promise((resolve, reject) => {
      this.#rejectBody = (error) => {
        this.#rejectBody = undefined;
        reject(error);
      };
      if (this.#departure) this.#rejectBody(departure(this.#departure));
      else
        readAll(request, bytesMax, (outcome) => {
          if (outcome instanceof GatewayError) return this.#rejectBody?.(outcome);
          this.#rejectBody = undefined;
          resolve(outcome);
        });
    });
  }

  /** Refuses a body that will not come whole, read or yet to be read; false when it has come, or is answered already. */
  refuseBody(error: GatewayError): boolean {
    if (this.#request.complete || this.begun) return false;
    this.#closing = true;
    this.#bodyRefusal = error;
    this.#rejectBody?.(error);
    return true;
  }

  head(status: number, rawHeaders: RawHeaders, statusText?: string): void {
    if (this.#gone) return;
    const closing = this.#closing || this.#options.isClosing();
    const headers = closing ? [...rawHeaders, 'connection', 'close'] : (rawHeaders as string[]);
    this.#response.writeHead(status, statusText || STATUS_CODES[status] || '', headers);
  }

  flush(): void {
    if (!this.#gone) this.#response.flushHeaders();
  }

  write(chunk: Uint8Array): boolean {
    return this.#gone || this.#response.write(chunk);
  }

  onDrain(then: () => void): void {
    this.#response.once('drain', then);
  }

  end(chunk?: Uint8Array | string): void {
    if (!this.#gone) this.#response.end(chunk);
  }

  cut(): void {
    const { socket } = this.#response;
    if (socket) socket.destroySoon();
    else this.#response.once('socket', (later: Socket) => process.nextTick(() => later.destroySoon()));
  }

  #closed(): void {
    if (this.#response.writableEnded) return; // the answer was complete; the connection merely closed after it
    this.#gone = true;
    this.#depart('client_left');
  }

  #depart(why: Departure): void {
    if (this.#departure) return;
    this.#departure = why;
    this.#rejectBody?.(departure(why));
    for (const then of this.#whenGone) then(why);
    this.#whenGone = [];
  }
}

/** Calls `then` first with the whole body or with what is wrong with it; later calls mean nothing. */
function readAll(
  request: IncomingMessage,
  bytesMax: number,
  then: (read: Buffer | GatewayError) => void,
): void {
  let first: Buffer | undefined;
  let chunks: Buffer[] | undefined;
  let bytes = 0;
  const take = (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > bytesMax) {
      request.off('data', take);
      chunks = first = undefined;
      request.resume(); // discard the rest, so that the client comes to read the refusal
      then(tooLarge(bytesMax));
    } else if (!first) first = chunk;
    else (chunks ??= [first]).push(chunk);
  };
  request.on('data', take);
  // Once: what listens on would keep the body for as long as the answer streams.
  request.once('end', () => {
    request.off('data', take);
    then(chunks ? Buffer.concat(chunks, bytes) : (first ?? noBody));
  });
}

const tooLarge = (bytesMax: number) =>
  new GatewayError(
    'request_too_large',
    `The request body is over the limit of ${bytesMax} bytes (server.max_body_size).`,
  );
