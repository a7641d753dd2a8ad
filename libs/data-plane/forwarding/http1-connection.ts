/**
 * A connection to a backend: one request at a time, answers parsed here.
 *
 * Why not a general HTTP client: per request undici costs about as much as all else the gateway does, and holds more
 * than 15 KB for an open stream (docs/adr/0005). What a gateway needs is small: HTTP/1.1, no pipelining, no redirects.
 */
import { connect as connectTcp, type OnReadOpts, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Outgoing } from '@llmproxy/exchange';
import { inTurn } from '@llmproxy/turn';
import { BodyDecoder } from './core/body-decoder.ts';
import { NothingSent } from './core/failure.ts';
import { MalformedAnswer, parseResponseStart, type createAnswerMemory } from './core/response-start.ts';
import type { Carrier, Http1Attempt } from './http1-attempt.ts';
import { tlsOptions, type Origin } from './origin.ts';

/** What a connection tells its pool. */
export interface ConnectionOwner {
  readonly origin: Origin;
  readonly memory: ReturnType<typeof createAnswerMemory>;
  /** The newest TLS session with this origin: the next connection needs no new proof of who the backend is. */
  tlsSession: Buffer | undefined;
  /** May carry another request. */
  idle(connection: Http1Connection): void;
  closed(connection: Http1Connection): void;
}

/** The clocks of a pool, in ms. */
export interface Clocks {
  readonly connectTimeoutMs: number;
  readonly timeoutMs: number;
  readonly idleMs: number;
}

const headBytesMax = 256 * 1024;
const httpVersion = 'HTTP/1.';
const idleMarginMs = 1_000;
const endOfHead = Buffer.from('\r\n\r\n');
/** Up to this size head and body are one write. */
const joinedBytesMax = 64 * 1024;
const tcpKeepAliveMs = 60_000;

// Reads are copied before the next one starts, so every connection of the process can read into the same memory.
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024);

export class Http1Connection implements Carrier {
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  #attempt: Http1Attempt | undefined;
  #outgoing: Outgoing | undefined;
  #connected = false;
  #sent = false;
  #paused = false;
  /** Came in this turn of the event loop, and has not been looked at. */
  #unread: Buffer | undefined;
  /** Bytes of a head that is not complete yet. */
  #partialHead: Buffer | undefined;
  #decoder: BodyDecoder | undefined;
  #keepAlive = false;
  /** How long the backend lets it idle, less a margin for the way there. */
  #idleMs = Infinity;
  #sinceMs = performance.now();

  constructor(owner: ConnectionOwner) {
    this.#owner = owner;
    const { tls, host, port } = owner.origin;
    const common = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: tcpKeepAliveMs };
    this.#socket = tls
      ? connectTls({ ...common, ...tlsOptions(owner.origin, owner.tlsSession) }, () => this.#connectedNow())
      : connectTcp({ ...common, onread: this.#onRead() }, () => this.#connectedNow());
    if (tls) {
      this.#socket.on('data', (bytes: Buffer) => this.#received(bytes));
      this.#socket.on('session', (session: Buffer) => (owner.tlsSession = session));
    }
    let failure: Error | undefined;
    this.#socket.on('error', (error: Error) => (failure = error));
    this.#socket.on('end', () => this.#peerEnded());
    this.#socket.on('close', () => this.#closed(failure));
  }

  #onRead(): OnReadOpts {
    return {
      buffer: readBuffer,
      callback: (length, buffer) => {
        this.#received(Buffer.from((buffer as Buffer).subarray(0, length)));
        return true; // pausing is done by name, also from outside of a read
      },
    };
  }

  get usable(): boolean {
    return this.#connected && !this.#socket.destroyed && this.#socket.writable;
  }

  /** Whether its backend may be about to close it: a request sent now could meet the end of the connection. */
  isStale(nowMs: number, idleMs: number): boolean {
    return nowMs - this.#sinceMs >= Math.min(idleMs, this.#idleMs);
  }

  /** Sends a request; this connection carries nothing else until its answer is complete. */
  carry(attempt: Http1Attempt, outgoing: Outgoing): void {
    this.#attempt = attempt;
    attempt.carrier = this;
    this.#sinceMs = performance.now();
    if (this.#connected) this.#send(outgoing);
    else this.#outgoing = outgoing;
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#sinceMs = performance.now();
    this.#socket.resume();
  }

  abandon(): void {
    this.#attempt = undefined;
    this.#unread = undefined;
    this.#socket.destroy();
  }

  /** Ends what has taken too long: connecting, the wait for a head, silence in a body, idleness. */
  sweep(nowMs: number, clocks: Clocks): void {
    const waitedMs = nowMs - this.#sinceMs;
    if (!this.#attempt) {
      if (this.isStale(nowMs, clocks.idleMs)) this.#socket.destroy();
    } else if (!this.#connected) {
      if (waitedMs >= clocks.connectTimeoutMs)
        this.#fail(timeout('BACKEND_CONNECT_TIMEOUT', 'no connection in time'));
    } else if (!this.#paused && clocks.timeoutMs > 0 && waitedMs >= clocks.timeoutMs) {
      this.#fail(
        this.#decoder
          ? timeout('BACKEND_SILENT', 'silence in the body')
          : timeout('BACKEND_HEAD_TIMEOUT', 'no answer in time'),
      );
    }
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #connectedNow(): void {
    this.#connected = true;
    this.#sinceMs = performance.now();
    const outgoing = this.#outgoing;
    this.#outgoing = undefined;
    if (outgoing && this.#attempt) this.#send(outgoing);
  }

  /** The request leaves at the end of this turn; a connection that is lost before has sent nothing. */
  #send(outgoing: Outgoing): void {
    this.#socket.cork();
    this.#write(outgoing);
    inTurn('write', () => {
      this.#sent = !this.#socket.destroyed;
      this.#socket.uncork();
    });
  }

  #write({ method, target, rawHeaders, body }: Outgoing): void {
    let head = `${method} ${target} HTTP/1.1\r\nhost: ${this.#owner.origin.authority}\r\n`;
    for (let i = 0; i < rawHeaders.length; i += 2) head += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`;
    const length = body?.length ?? 0;
    if (body || method === 'POST' || method === 'PUT' || method === 'PATCH')
      head += `content-length: ${length}\r\n`;
    head += '\r\n';
    if (length > joinedBytesMax) {
      this.#socket.write(head, 'latin1');
      this.#socket.write(body as Buffer);
      return;
    }
    const bytes = Buffer.allocUnsafe(head.length + length);
    bytes.write(head, 0, 'latin1');
    body?.copy(bytes, head.length);
    this.#socket.write(bytes);
  }

  /** Bytes came: they are read in this turn, and at once when there are others already, for those may be many. */
  #received(bytes: Buffer): void {
    this.#sinceMs = performance.now();
    if (!this.#attempt) return this.destroy(); // bytes that nobody asked for: the next answer could not be trusted
    if (this.#unread) {
      this.#readNow();
      return this.#read(bytes);
    }
    this.#unread = bytes;
    inTurn('read', () => this.#readNow());
  }

  #readNow(): void {
    const bytes = this.#unread;
    this.#unread = undefined;
    if (bytes) this.#read(bytes);
  }

  #read(bytes: Buffer): void {
    if (!this.#attempt) return this.destroy(); // they came behind the end of the answer
    try {
      if (this.#decoder) this.#readBody(bytes, 0);
      else this.#readHead(this.#withPartial(bytes));
    } catch (thrown) {
      this.#fail(thrown instanceof Error ? thrown : new MalformedAnswer(String(thrown)));
    }
  }

  #withPartial(received: Buffer): Buffer {
    const bytes = this.#partialHead ? Buffer.concat([this.#partialHead, received]) : received;
    this.#partialHead = undefined;
    return bytes;
  }

  /** Reads a head, and what of the body came with it; heads of the 1xx kind are read past. */
  #readHead(bytes: Buffer): void {
    let at = 0;
    for (;;) {
      const end = bytes.indexOf(endOfHead, at);
      if (end === -1) return this.#keepPartial(bytes.subarray(at));
      const head = bytes.toString('latin1', at, end);
      const start = parseResponseStart(head, this.#attempt?.method ?? 'GET', this.#owner.memory);
      at = end + endOfHead.length;
      if (start.status === 101) throw new MalformedAnswer('101, though no upgrade was asked for');
      if (start.status < 200) continue;
      this.#decoder = new BodyDecoder(start.framing);
      this.#keepAlive = start.keepAlive;
      if (start.idleMs !== null) this.#idleMs = start.idleMs - idleMarginMs;
      this.#attempt?.head(start);
      return this.#readBody(bytes, at);
    }
  }

  #keepPartial(bytes: Buffer): void {
    if (bytes.length > headBytesMax) throw new MalformedAnswer(`a head over ${headBytesMax} bytes`);
    const begin = bytes.toString('latin1', 0, httpVersion.length);
    if (!httpVersion.startsWith(begin)) throw new MalformedAnswer('no status line');
    this.#partialHead = bytes;
  }

  #readBody(bytes: Buffer, at: number): void {
    const decoder = this.#decoder as BodyDecoder;
    const end = decoder.feed(bytes, at, (chunk) => this.#attempt?.data(chunk));
    if (decoder.done) this.#complete(end === bytes.length);
  }

  /** The answer is whole: the connection goes back to the pool first, so that its next user need not open one. */
  #complete(clean: boolean): void {
    const attempt = this.#attempt;
    this.#attempt = undefined;
    this.#decoder = undefined;
    this.#sent = false;
    this.#sinceMs = performance.now();
    if (this.#paused) this.resume();
    const reusable = clean && this.#keepAlive && this.usable && this.#socket.writableLength === 0;
    if (reusable) this.#owner.idle(this);
    else this.#socket.destroy();
    attempt?.end(null);
  }

  /** The backend closed its side; for some bodies that is how they end. */
  #peerEnded(): void {
    this.#readNow();
    if (this.#decoder?.endsWithConnection) this.#complete(false);
    else this.#socket.destroy();
  }

  #fail(cause: Error): void {
    const attempt = this.#attempt;
    this.#attempt = undefined;
    this.#socket.destroy();
    attempt?.end(this.#sent ? cause : new NothingSent(cause));
  }

  #closed(failure: Error | undefined): void {
    this.#readNow();
    if (this.#attempt) this.#fail(failure ?? new Error('the backend closed the connection'));
    this.#owner.closed(this);
  }
}

function timeout(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
