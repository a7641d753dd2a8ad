/** A TCP forwarder whose chunks are late: all of them by the way, some of them by more, never out of order. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface Lateness {
  /** There and back. */
  readonly roundTripMs: number;
  /** Of the chunks in either direction this share is late by `lateMs` more. */
  readonly share: number;
  readonly lateMs: number;
}

export interface LateForwarder extends AsyncDisposable {
  readonly port: number;
  lateness: Lateness;
}

export const punctual: Lateness = { roundTripMs: 0, share: 0, lateMs: 0 };

export async function startLateForwarder(toPort: number): Promise<LateForwarder> {
  const open = new Set<Socket>();
  const forwarder = { lateness: punctual };
  const server = createServer((client) => {
    const upstream = connect(toPort, '127.0.0.1');
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(from);
      from.setNoDelay();
      forward(from, to, () => forwarder.lateness);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        open.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(forwarder, {
    port,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

function forward(from: Socket, to: Socket, latenessNow: () => Lateness): void {
  const waiting: { readonly chunk: Buffer; readonly dueMs: number }[] = [];
  let lastMs = 0;
  const deliver = (): void => {
    const nowMs = performance.now();
    for (let first = waiting[0]; first !== undefined && first.dueMs <= nowMs; first = waiting[0]) {
      waiting.shift();
      if (to.writable) to.write(first.chunk);
    }
    const [next] = waiting;
    if (next !== undefined) setTimeout(deliver, Math.max(1, next.dueMs - nowMs));
  };
  from.on('data', (chunk: Buffer) => {
    const { roundTripMs, share, lateMs } = latenessNow();
    lastMs = Math.max(lastMs, performance.now() + roundTripMs / 2 + (Math.random() < share ? lateMs : 0));
    waiting.push({ chunk, dueMs: lastMs });
    if (waiting.length === 1) deliver();
  });
}
