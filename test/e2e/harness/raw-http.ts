/** A client that writes bytes as they are: what no HTTP library would send. */
import { connect } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  /** By lower-case name; the first value of each. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** All bytes of the answer. */
  readonly text: string;
}

/** Bytes, a body of so many bytes in chunks that is written as fast as it is taken, or a wait for what has come. */
export type Piece =
  string | Buffer | { readonly chunked: number } | ((soFar: () => string) => Promise<unknown>);

/**
 * Writes the pieces and resolves with the first answer, once it is complete or the connection has ended. The connection
 * is closed then, whatever is still being written.
 * @throws Error when the connection ends without an answer
 */
export function exchange(address: string, ...pieces: Piece[]): Promise<RawAnswer> {
  const { hostname, port } = new URL(address);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    let text = '';
    const finish = (isEnded: boolean): void => {
      const answer = answerIn(text, isEnded);
      if (!answer && isEnded)
        reject(new Error(`the connection ended without an answer: ${JSON.stringify(text)}`));
      if (!answer) return;
      resolve(answer);
      socket.destroy();
    };
    socket.setEncoding('latin1').on('data', (piece: string) => {
      text += piece;
      finish(false);
    });
    socket.on('error', () => undefined); // the server may close while we still write; `close` follows
    socket.on('close', () => finish(true));
    socket.on('connect', () => {
      void (async () => {
        for (const piece of pieces) {
          if (typeof piece === 'string' || Buffer.isBuffer(piece)) await written(socket, piece);
          else if (typeof piece === 'function') await piece(() => text);
          else await writeChunks(socket, piece.chunked);
        }
      })();
    });
  });
}

/** Resolves when the bytes are with the system, or the connection is gone. */
function written(socket: ReturnType<typeof connect>, bytes: string | Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    else socket.write(bytes, () => resolve());
  });
}

async function writeChunks(socket: ReturnType<typeof connect>, bytes: number): Promise<void> {
  const data = Buffer.alloc(64 * 1024, 'x');
  const chunk = Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n')]);
  for (let sent = 0; sent < bytes && !socket.destroyed; sent += data.length) await written(socket, chunk);
  await written(socket, '0\r\n\r\n');
}

function answerIn(text: string, isEnded: boolean): RawAnswer | undefined {
  const bodyAt = text.indexOf('\r\n\r\n') + 4;
  if (bodyAt < 4) return undefined;
  const [statusLine = '', ...lines] = text.slice(0, bodyAt - 4).split('\r\n');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] ??= line.slice(colon + 1).trim();
  }
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1] ?? 0);
  const body = text.slice(bodyAt);
  const isComplete = isEnded || body.length >= Number(headers['content-length'] ?? Number.POSITIVE_INFINITY);
  return isComplete ? { status, headers, body, text } : undefined;
}
