/**
 * A client's connection: requests one after the other, each answered before the next is read.
 *
 * States: waiting for a head → serving (body read when it is wanted; what comes behind it waits, at most 64 KB of it)
 * → answered: the rest of its body is read and dropped → waiting …; closing: told `Connection: close`, bytes are read
 * and dropped for 2 s so that the client comes to read the answer.
 */
import type { Socket } from 'node:net';
import { GatewayError, renderError } from '@llmproxy/errors';
import { pathOf } from '@llmproxy/exchange';
import { BodyDecoder } from '@llmproxy/forwarding';
import { dialectOf } from '@llmproxy/routing';
import { inTurn } from '@llmproxy/turn';
import { Exchange, type ExchangeConnection } from './exchange.ts';
import { createRequestMemory, parseRequestHead } from './request-head.ts';
import { ResponseWriter } from './response-writer.ts';

export interface ConnectionClocks {
  /** For a whole request, in ms; 0 = for ever. */
  readonly readTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

export interface ConnectionOwner {
  readonly headerBytesMax: number;
  isClosing(): boolean;
  serve(exchange: Exchange): void;
  badRequest(error: GatewayError): void;
  closed(connection: Connection): void;
}

const endOfHead = Buffer.from('\r\n\r\n');
const waitingBytesMax = 64 * 1024;
const lingerMs = 2_000;
const noBytes = Buffer.alloc(0);

export class Connection implements ExchangeConnection {
  readonly socket: Socket;
  readonly #owner: ConnectionOwner;
  readonly #memory = createRequestMemory();
  #exchange: Exchange | undefined;
  #decoder: BodyDecoder | undefined;
  #bodyWanted = false;
  /** Received and not used yet. */
  #rest: Buffer = noBytes;
  /** Whether what has been received is used later in this turn of the event loop. */
  #useIsDue = false;
  #closing = false;
  #isNew = true;
  #sinceMs = performance.now();

  constructor(socket: Socket, owner: ConnectionOwner) {
    this.socket = socket;
    this.#owner = owner;
    socket.on('data', (bytes: Buffer) => this.#received(bytes));
    socket.on('error', () => socket.destroy());
    socket.on('end', () => this.#peerEnded());
    socket.on('close', () => this.#closed());
  }

  get exchange(): Exchange | undefined {
    return this.#exchange;
  }

  /** Neither serving nor in the middle of a request. */
  get isIdle(): boolean {
    return !this.#exchange && this.#rest.length === 0 && !this.#isNew;
  }

  get isSilent(): boolean {
    return this.#isNew && this.#rest.length === 0;
  }

  isClosing(): boolean {
    return this.#owner.isClosing();
  }

  /** Ends what takes too long: the wait for a request, a request that does not come whole, a slow goodbye. */
  sweep(nowMs: number, clocks: ConnectionClocks): void {
    const waitedMs = nowMs - this.#sinceMs;
    if (this.#closing) {
      if (waitedMs >= lingerMs) this.socket.destroy();
    } else if (!this.#exchange && this.#rest.length === 0) {
      if (waitedMs >= clocks.idleTimeoutMs) this.socket.destroy();
    } else if (clocks.readTimeoutMs > 0 && waitedMs >= clocks.readTimeoutMs) this.#lateRequest();
  }

  wantBody(): void {
    this.#bodyWanted = true;
    this.socket.resume();
    this.#use();
  }

  answered(close: boolean): void {
    const exchange = this.#exchange;
    if (!exchange) return;
    this.#sinceMs = performance.now();
    if (close) return this.#sayGoodbye();
    if (exchange.bodyComplete) return this.#nextRequest();
    this.#bodyWanted = true; // what is left of the body is read and dropped
    this.socket.resume();
    this.#use();
  }

  #received(bytes: Buffer): void {
    if (this.#closing) return;
    if (this.#rest.length === 0) {
      if (!this.#exchange) this.#sinceMs = performance.now();
      this.#rest = bytes;
    } else this.#rest = Buffer.concat([this.#rest, bytes]);
    if (this.#useIsDue)
      this.#use(); // more of it in one turn, and there may be much more
    else this.#useInTurn();
  }

  #useInTurn(): void {
    if (this.#useIsDue) return;
    this.#useIsDue = true;
    inTurn('read', () => {
      this.#useIsDue = false;
      this.#use();
    });
  }

  /** Uses what has been received, as far as it goes. */
  #use(): void {
    try {
      while (!this.#closing && this.#rest.length > 0 && this.#step());
    } catch (thrown) {
      this.#refuse(thrown instanceof GatewayError ? thrown : brokenBody());
    }
    if (this.#rest.length > waitingBytesMax && this.#exchange && !this.#bodyWanted) this.socket.pause();
  }

  /** Returns false when more bytes, or an answer, must come first. */
  #step(): boolean {
    if (!this.#exchange) return this.#readHead();
    if (!this.#decoder || !this.#bodyWanted) return false;
    const exchange = this.#exchange;
    const bytes = this.#rest;
    this.#rest = noBytes;
    const end = this.#decoder.feed(bytes, 0, (chunk) => exchange.take(chunk));
    if (end < bytes.length) this.#rest = bytes.subarray(end);
    if (!this.#decoder.done) return false;
    this.#decoder = undefined;
    exchange.bodyEnded();
    if (exchange.answered) this.#nextRequest();
    return this.#exchange === undefined;
  }

  #readHead(): boolean {
    let start = 0;
    while (this.#rest[start] === 0x0d || this.#rest[start] === 0x0a) start++; // RFC 9112 §2.2: empty lines before it
    if (start > 0) this.#rest = this.#rest.subarray(start);
    const end = this.#rest.indexOf(endOfHead);
    if (end > this.#owner.headerBytesMax || (end === -1 && this.#rest.length > this.#owner.headerBytesMax)) {
      throw headTooLarge(this.#owner.headerBytesMax);
    }
    if (end === -1) {
      if (!beginsLikeRequest(this.#rest)) throw noRequest();
      return false;
    }
    const head = parseRequestHead(this.#rest.toString('latin1', 0, end), this.#memory);
    this.#rest = this.#rest.subarray(end + endOfHead.length);
    this.#isNew = false;
    const exchange = new Exchange(head, this);
    this.#exchange = exchange;
    this.#decoder = head.framing.kind === 'none' ? undefined : new BodyDecoder(head.framing);
    this.#bodyWanted = false;
    this.#owner.serve(exchange);
    return true;
  }

  #nextRequest(): void {
    this.#exchange = undefined;
    this.#decoder = undefined;
    this.#bodyWanted = false;
    this.socket.resume();
    if (this.#owner.isClosing() && this.#rest.length === 0) return this.#sayGoodbye();
    if (this.#rest.length > 0) this.#useInTurn(); // not deeper in the stack of the answer before
  }

  /** No further request: our side ends once all is written, theirs is read and dropped until it ends too. */
  #sayGoodbye(): void {
    this.#closing = true;
    this.#exchange = undefined;
    this.#rest = noBytes;
    this.#sinceMs = performance.now();
    this.socket.resume();
    this.socket.end();
  }

  /** The bytes are no request, or no more of one. */
  #refuse(error: GatewayError): void {
    const exchange = this.#exchange;
    const head = this.#rest;
    this.#rest = noBytes;
    if (!exchange) return this.#answerWithout(error, head);
    this.#decoder = undefined;
    // No answer fits into the middle of another: then the end of the connection has to do.
    if (!exchange.refuseBody(error)) this.socket.destroy();
  }

  #answerWithout(error: GatewayError, head: Buffer): void {
    this.#owner.badRequest(error);
    const target = /^[A-Z]+ (\S+)/.exec(head.toString('latin1', 0, Math.min(head.length, 4096)))?.[1] ?? '/';
    const { status, headers, body } = renderError(error, dialectOf(pathOf(target)), crypto.randomUUID());
    const writer = new ResponseWriter(this.socket, { method: 'GET', isHttp11: true });
    writer.head(status, headers, error.code, true);
    writer.write(Buffer.from(body));
    writer.end();
    this.#sayGoodbye();
  }

  #lateRequest(): void {
    const error = new GatewayError(
      'request_timeout',
      'The request did not arrive in time (server.read_timeout).',
    );
    if (!this.#exchange) this.#refuse(error);
    else if (!this.#exchange.bodyComplete && !this.#exchange.refuseBody(error) && this.#exchange.answered)
      this.socket.destroy();
  }

  #peerEnded(): void {
    this.#use();
    if (this.#exchange && !this.#exchange.answered) this.socket.destroy();
  }

  #closed(): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    if (exchange && !exchange.answered) exchange.clientLeft();
    this.#owner.closed(this);
  }
}

const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/;
const firstLine = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ \S+ HTTP\/1\.[01]\r$/;

/** Whether these bytes may still become a request: a TLS hello or a line of prose is refused without waiting for more. */
function beginsLikeRequest(bytes: Buffer): boolean {
  if (bytes.length === 0) return true;
  if (!token.test(String.fromCharCode(bytes[0] as number))) return false;
  const newline = bytes.indexOf(0x0a);
  return newline === -1 || firstLine.test(bytes.toString('latin1', 0, newline));
}

const noRequest = () =>
  new GatewayError(
    'invalid_request',
    'The request is not valid HTTP/1.1: it does not begin with "METHOD /path HTTP/1.1".',
  );

const brokenBody = () =>
  new GatewayError('invalid_request', 'The request is not valid HTTP/1.1: its chunks are malformed.');

const headTooLarge = (bytesMax: number) =>
  new GatewayError(
    'headers_too_large',
    `The request head is over the limit of ${bytesMax} bytes (server.max_header_bytes).`,
  );
