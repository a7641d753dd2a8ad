/** Writes one answer to a connection: head and first bytes in one write, chunked where the client understands it. */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { RawHeaders } from '@llmproxy/exchange';
import { corkForTurn } from '@llmproxy/turn';

export interface AnswerTerms {
  readonly method: string;
  readonly isHttp11: boolean;
}

type Framing = 'chunked' | 'as-is' | 'no-body';

/** Up to this size bytes are copied together into one write; larger ones are handed over as they are. */
const joinedBytesMax = 16 * 1024;
const lastChunk = '0\r\n\r\n';
const crlf = Buffer.from('\r\n');

export class ResponseWriter {
  readonly #socket: Socket;
  readonly #terms: AnswerTerms;
  /** Written with the first bytes of the body; empty before `head` and after it was sent. */
  #head = '';
  #framing: Framing = 'as-is';
  begun = false;
  ended = false;

  constructor(socket: Socket, terms: AnswerTerms) {
    this.#socket = socket;
    this.#terms = terms;
  }

  /** Returns whether the connection must close after this answer because only its end can end the body. */
  head(status: number, rawHeaders: RawHeaders, statusText: string | undefined, close: boolean): boolean {
    const { lines, hasLength, hasDate } = linesOf(rawHeaders);
    this.#framing = this.#framingFor(status, hasLength);
    const endsWithConnection = this.#framing === 'as-is' && !hasLength;
    let head = `HTTP/1.1 ${status} ${statusText || STATUS_CODES[status] || ''}\r\n${lines}`;
    if (!hasDate) head += `Date: ${httpDate()}\r\n`;
    if (this.#framing === 'chunked') head += 'Transfer-Encoding: chunked\r\n';
    if (close || endsWithConnection) head += 'Connection: close\r\n';
    else if (!this.#terms.isHttp11) head += 'Connection: keep-alive\r\n';
    this.#head = `${head}\r\n`;
    this.begun = true;
    return endsWithConnection;
  }

  flush(): void {
    if (this.#head !== '') this.#writeText(this.#takeHead());
  }

  /** Returns false when the client reads slower than we write. */
  write(chunk: Uint8Array): boolean {
    if (this.#framing === 'no-body' || chunk.length === 0) return true;
    const size = this.#framing === 'chunked' ? `${chunk.length.toString(16)}\r\n` : '';
    const before = this.#takeHead() + size;
    const after = this.#framing === 'chunked' ? 2 : 0;
    corkForTurn(this.#socket);
    if (before.length + chunk.length > joinedBytesMax) return this.#writeApart(before, chunk);
    const bytes = Buffer.allocUnsafe(before.length + chunk.length + after);
    bytes.write(before, 0, 'latin1');
    bytes.set(chunk, before.length);
    if (after > 0) bytes.set(crlf, bytes.length - 2);
    return this.#socket.write(bytes);
  }

  end(): void {
    this.ended = true;
    const rest = this.#takeHead() + (this.#framing === 'chunked' ? lastChunk : '');
    if (rest !== '') this.#writeText(rest);
  }

  #framingFor(status: number, hasLength: boolean): Framing {
    if (this.#terms.method === 'HEAD' || status === 204 || status === 304) return 'no-body';
    return hasLength || !this.#terms.isHttp11 ? 'as-is' : 'chunked';
  }

  #writeText(text: string): void {
    corkForTurn(this.#socket);
    this.#socket.write(text, 'latin1');
  }

  #writeApart(before: string, chunk: Uint8Array): boolean {
    if (before !== '') this.#socket.write(before, 'latin1');
    const flowing = this.#socket.write(chunk);
    return this.#framing === 'chunked' ? this.#socket.write(crlf) : flowing;
  }

  #takeHead(): string {
    const head = this.#head;
    this.#head = '';
    return head;
  }
}

function linesOf(rawHeaders: RawHeaders): { lines: string; hasLength: boolean; hasDate: boolean } {
  let lines = '';
  let hasLength = false;
  let hasDate = false;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length === 14 && name.toLowerCase() === 'content-length') hasLength = true;
    else if (name.length === 4 && name.toLowerCase() === 'date') hasDate = true;
    lines += `${name}: ${rawHeaders[i + 1]}\r\n`;
  }
  return { lines, hasLength, hasDate };
}

let dateSecond = 0;
let dateText = '';

/** The date for answers that bring none; made once a second. */
function httpDate(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  return dateText;
}
