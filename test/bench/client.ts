import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { MessageReader, statusOf } from './http1.ts';

/** What happens to one request. Exactly one of `end` and `failed` is called, last. */
export interface Exchange {
  head(status: number): void;
  /** The bytes are valid only during the call. */
  body(bytes: Buffer): void;
  end(): void;
  failed(reason: string): void;
}

/** Sockets read into one buffer of the process: nothing is allocated per read. */
const readBuffer = Buffer.allocUnsafe(65_536);

/** One keep-alive connection with at most one request under way; connects by itself, again after a close. */
export class Connection {
  readonly #port: number;
  readonly #localAddress: string | undefined;
  #socket: Socket | undefined;
  #exchange: Exchange | undefined;

  constructor(port: number, localAddress?: string) {
    this.#port = port;
    this.#localAddress = localAddress;
  }

  send(request: Buffer, exchange: Exchange): void {
    this.#exchange = exchange;
    const socket = this.#socket?.writable === true ? this.#socket : this.#connect();
    socket.write(request);
  }

  close(): void {
    this.#exchange = undefined;
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #connect(): Socket {
    const reader = this.#reader();
    const socket = connect({
      host: '127.0.0.1',
      port: this.#port,
      noDelay: true,
      ...(this.#localAddress === undefined ? {} : { localAddress: this.#localAddress }),
      onread: {
        buffer: readBuffer,
        callback: (length, bytes) => {
          this.#read(reader, Buffer.from(bytes.buffer, bytes.byteOffset, length), socket);
          return true;
        },
      },
    });
    socket.on('error', (error) => this.#lost(socket, error.message));
    socket.on('end', () => reader.close());
    socket.on('close', () => this.#lost(socket, 'connection closed before the answer was complete'));
    this.#socket = socket;
    return socket;
  }

  #reader(): MessageReader {
    return new MessageReader('response', {
      head: (head) => this.#exchange?.head(statusOf(head)),
      body: (bytes) => this.#exchange?.body(bytes),
      end: () => {
        const done = this.#exchange;
        this.#exchange = undefined;
        done?.end();
      },
    });
  }

  #read(reader: MessageReader, bytes: Buffer, socket: Socket): void {
    try {
      reader.feed(bytes);
    } catch (error) {
      socket.destroy();
      this.#lost(socket, String(error));
    }
  }

  #lost(socket: Socket, reason: string): void {
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    const lost = this.#exchange;
    this.#exchange = undefined;
    lost?.failed(reason);
  }
}
