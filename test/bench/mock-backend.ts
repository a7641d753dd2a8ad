/**
 * One fast backend in its own process, on bare sockets: it must cost far less than anything measured in front of it.
 * Started with an IPC channel; sends `{ ready: true, port }`. `GET /stats` tells what it has sent.
 */
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { MessageReader } from './http1.ts';
import {
  chatResponse,
  contentChunks,
  healthy,
  jsonResponse,
  models,
  notFound,
  streamEnd,
  streamHead,
  streamScript,
} from './mock-answers.ts';
import type { StreamScript } from './mock-answers.ts';

const stats = { requests: 0, streamsBegun: 0, streamsCompleted: 0, streamsCut: 0, chunks: 0, bytesSent: 0 };
const sockets = new Set<Socket>();
const chunkMakers = new Map<number, () => string>();

function chunkMaker(eventBytes: number): () => string {
  let make = chunkMakers.get(eventBytes);
  if (make === undefined) chunkMakers.set(eventBytes, (make = contentChunks(eventBytes)));
  return make;
}

function currentStats(): typeof stats & { connections: number } {
  let open = 0;
  for (const socket of sockets) open += socket.bytesWritten - socket.writableLength;
  return { ...stats, bytesSent: stats.bytesSent + open, connections: sockets.size };
}

/** One client connection; answers in the order of the requests, also when they are pipelined. */
class Connection {
  readonly #socket: Socket;
  readonly #reader: MessageReader;
  #path = '';
  #body: Buffer[] = [];
  #waiting: (() => void)[] = [];
  #streaming = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#reader = new MessageReader('request', {
      head: (head) => {
        this.#path = head.startLine.split(' ', 2)[1] ?? '';
      },
      body: (bytes) => this.#body.push(bytes),
      end: () => this.#request(),
    });
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.on('data', (bytes: Buffer) => this.#reader.feed(bytes));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      clearTimeout(this.#timer);
      sockets.delete(socket);
      if (this.#streaming) stats.streamsCut += 1;
      stats.bytesSent += socket.bytesWritten - socket.writableLength;
    });
  }

  #request(): void {
    const path = this.#path;
    const [first] = this.#body;
    const body = this.#body.length > 1 ? Buffer.concat(this.#body) : first;
    this.#body = [];
    stats.requests += 1;
    if (this.#streaming) this.#waiting.push(() => this.#answer(path, body));
    else this.#answer(path, body);
  }

  #answer(path: string, body: Buffer | undefined): void {
    if (path === '/v1/chat/completions') {
      const script = body === undefined ? undefined : streamScript(body.toString('latin1'));
      if (script === undefined) this.#socket.write(chatResponse);
      else this.#stream(script);
      return;
    }
    const fixed: Record<string, Buffer> = { '/health': healthy, '/v1/models': models };
    this.#socket.write(path === '/stats' ? jsonResponse(currentStats()) : (fixed[path] ?? notFound));
  }

  #stream(script: StreamScript): void {
    const make = chunkMaker(script.eventBytes);
    let left = script.chunks;
    let open = streamHead;
    stats.streamsBegun += 1;
    this.#streaming = true;
    const next = (): void => {
      let taken = true;
      do {
        if (this.#socket.destroyed) return;
        left -= 1;
        stats.chunks += 1;
        taken = this.#socket.write(open + make() + (left > 0 ? '' : streamEnd(script.withUsage)), 'latin1');
        open = '';
      } while (left > 0 && taken && script.paceMs === 0);
      if (left <= 0) this.#streamCompleted();
      else if (!taken) this.#socket.once('drain', next);
      else this.#timer = setTimeout(next, script.paceMs);
    };
    next();
  }

  #streamCompleted(): void {
    stats.streamsCompleted += 1;
    this.#streaming = false;
    while (!this.#streaming) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      next();
    }
  }
}

const server = createServer({ noDelay: true }, (socket) => new Connection(socket));
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  process.send?.({ ready: true, port: (server.address() as AddressInfo).port });
});
process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
