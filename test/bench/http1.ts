/** What the first line and the headers of a message say about its body. */
export interface MessageHead {
  /** Request line or status line. */
  readonly startLine: string;
  /** The whole head, start line included, without the blank line that ends it. */
  readonly text: string;
}

/** Bytes handed to `body` are valid only during the call. */
export interface MessageSink {
  head(head: MessageHead): void;
  body(bytes: Buffer): void;
  end(): void;
}

type State =
  | { readonly at: 'head' }
  | { readonly at: 'fixed'; left: number }
  | { readonly at: 'chunk-size' }
  | { readonly at: 'chunk-data'; left: number }
  | { readonly at: 'trailer' }
  | { readonly at: 'until-close' };

const nothing = Buffer.alloc(0);
const headEnd = Buffer.from('\r\n\r\n');
const contentLength = /\r\ncontent-length:[ \t]*(\d+)/i;
const chunkedCoding = /\r\ntransfer-encoding:[^\r\n]*chunked/i;

/**
 * Cuts one direction of an HTTP/1.1 connection into messages, however the network cut it: fixed and chunked bodies,
 * several messages in one read. Only what the bench's own peers send is understood; anything else throws.
 */
export class MessageReader {
  readonly #sink: MessageSink;
  readonly #bodyUntilClose: boolean;
  #state: State = { at: 'head' };
  #rest: Buffer = nothing;

  /** @param side a `response` with neither length nor chunks runs until the connection closes; a `request` has no body then */
  constructor(side: 'request' | 'response', sink: MessageSink) {
    this.#sink = sink;
    this.#bodyUntilClose = side === 'response';
  }

  /** True between two messages. */
  get isIdle(): boolean {
    return this.#state.at === 'head' && this.#rest.length === 0;
  }

  /** @throws Error when the bytes are not the HTTP/1.1 this reader understands */
  feed(read: Buffer): void {
    const bytes = this.#rest.length === 0 ? read : Buffer.concat([this.#rest, read]);
    this.#rest = nothing;
    let from = 0;
    while (from < bytes.length) {
      const next = this.#step(bytes, from);
      if (next < 0) {
        this.#rest = Buffer.from(bytes.subarray(from)); // a copy: the caller reuses its read buffer
        return;
      }
      from = next;
    }
  }

  /** The peer closed its side: ends a body that had no other end. */
  close(): void {
    if (this.#state.at !== 'until-close') return;
    this.#state = { at: 'head' };
    this.#sink.end();
  }

  /** Reads from `from`; returns where the next step starts, or -1 when more bytes are needed. */
  #step(bytes: Buffer, from: number): number {
    const state = this.#state;
    switch (state.at) {
      case 'head':
        return this.#readHead(bytes, from);
      case 'fixed':
        return this.#readFixed(bytes, from, state);
      case 'chunk-size':
        return this.#readChunkSize(bytes, from);
      case 'chunk-data':
        return this.#readChunkData(bytes, from, state);
      case 'trailer':
        return this.#readTrailer(bytes, from);
      case 'until-close':
        this.#sink.body(bytes.subarray(from));
        return bytes.length;
      default:
        return state satisfies never;
    }
  }

  #readHead(bytes: Buffer, from: number): number {
    const end = bytes.indexOf(headEnd, from);
    if (end < 0) return -1;
    const text = bytes.toString('latin1', from, end);
    this.#state = this.#bodyOf(text);
    this.#sink.head({ startLine: text.split('\r\n', 1)[0] ?? '', text });
    if (this.#state.at === 'head') this.#sink.end();
    return end + headEnd.length;
  }

  /** The state that reads the body this head announces; `head` when there is none. */
  #bodyOf(text: string): State {
    if (chunkedCoding.test(text)) return { at: 'chunk-size' };
    const length = contentLength.exec(text)?.[1];
    if (length !== undefined) return length === '0' ? { at: 'head' } : { at: 'fixed', left: Number(length) };
    return this.#bodyUntilClose ? { at: 'until-close' } : { at: 'head' };
  }

  #readFixed(bytes: Buffer, from: number, state: { left: number }): number {
    const to = Math.min(bytes.length, from + state.left);
    state.left -= to - from;
    this.#sink.body(bytes.subarray(from, to));
    if (state.left === 0) {
      this.#state = { at: 'head' };
      this.#sink.end();
    }
    return to;
  }

  #readChunkSize(bytes: Buffer, from: number): number {
    const end = bytes.indexOf('\r\n', from, 'latin1');
    if (end < 0) return -1;
    const size = Number.parseInt(bytes.toString('latin1', from, end), 16);
    if (!Number.isSafeInteger(size)) throw new Error('malformed chunk size');
    this.#state = size === 0 ? { at: 'trailer' } : { at: 'chunk-data', left: size };
    return end + 2;
  }

  #readChunkData(bytes: Buffer, from: number, state: { left: number }): number {
    if (state.left > 0) {
      const to = Math.min(bytes.length, from + state.left);
      state.left -= to - from;
      this.#sink.body(bytes.subarray(from, to));
      return to;
    }
    if (bytes.length - from < 2) return -1;
    this.#state = { at: 'chunk-size' };
    return from + 2;
  }

  #readTrailer(bytes: Buffer, from: number): number {
    const end = bytes.indexOf('\r\n', from, 'latin1');
    if (end < 0) return -1;
    if (end === from) {
      this.#state = { at: 'head' };
      this.#sink.end();
    }
    return end + 2;
  }
}

/** Status code of a status line; 0 when it is not one. */
export function statusOf(head: MessageHead): number {
  return Number(head.startLine.slice(9, 12)) || 0;
}
