/** For specs: a client that writes bytes on a socket and sees the bytes that come back. */
import { connect, type Socket } from 'node:net';

export interface SpecClient extends Disposable {
  readonly socket: Socket;
  /** Everything received so far, one character per byte. */
  readonly received: string;
  write(bytes: string | Uint8Array): void;
  /** Resolves, with all that was received, once it contains `text` (again, for every further call: after the last one found). */
  until(text: string): Promise<string>;
  /** Resolves once this many bytes were received in all. */
  untilBytes(count: number): Promise<void>;
  /** Resolves when the other side has ended or reset the connection. */
  readonly closed: Promise<'end' | 'reset'>;
  /** Leaves as a process that is killed does. */
  leave(): void;
}

export function dial(port: number): SpecClient {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const heard = new Heard(socket);
  let searchedTo = 0;
  return {
    socket,
    get received() {
      return heard.text;
    },
    write: (data) => void socket.write(data),
    until: async (text) => {
      await heard.when(() => heard.text.includes(text, searchedTo), JSON.stringify(text));
      searchedTo = heard.text.indexOf(text, searchedTo) + text.length;
      return heard.text;
    },
    untilBytes: (count) => heard.when(() => heard.bytes >= count, `${count} bytes`),
    closed: heard.closed.promise,
    leave: () => void socket.resetAndDestroy(),
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

/** What came over a socket, and those who wait for more of it. */
class Heard {
  bytes = 0;
  readonly closed = Promise.withResolvers<'end' | 'reset'>();
  readonly #chunks: string[] = [];
  readonly #waiting = new Set<() => void>();
  #over = false;

  constructor(socket: Socket) {
    socket.on('data', (chunk) => {
      this.#chunks.push(chunk.toString('latin1'));
      this.bytes += chunk.length;
      this.#wake();
    });
    socket.on('end', () => this.#ended('end'));
    socket.on('error', () => this.#ended('reset'));
    socket.on('close', () => this.#ended('reset'));
  }

  get text(): string {
    return this.#chunks.join('');
  }

  when(isMet: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = () => {
        if (!isMet() && !this.#over) return;
        this.#waiting.delete(check);
        if (isMet()) resolve();
        else reject(new Error(`the connection closed before ${what}; received: ${this.text.slice(-500)}`));
      };
      this.#waiting.add(check);
      check();
    });
  }

  #ended(how: 'end' | 'reset'): void {
    this.#over = true;
    this.closed.resolve(how);
    this.#wake();
  }

  #wake(): void {
    for (const check of [...this.#waiting]) check();
  }
}

/** A request's bytes, with a `Content-Length` where there is a body. */
export function requestBytes(head: string, body = '', more: readonly string[] = []): Buffer {
  const lines = [`${head} HTTP/1.1`, 'Host: gateway', ...more];
  const bytes = Buffer.from(body);
  if (bytes.length > 0) lines.push(`Content-Length: ${bytes.length}`);
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), bytes]);
}

/** The body of the one chunked answer that was received. */
export function dechunked(received: string): string {
  const parts: string[] = [];
  let at = received.indexOf('\r\n\r\n') + 4;
  for (;;) {
    const line = received.indexOf('\r\n', at);
    const length = parseInt(received.slice(at, line), 16);
    if (!(length > 0)) return parts.join('');
    parts.push(received.slice(line + 2, line + 2 + length));
    at = line + 2 + length + 2;
  }
}
