import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { LoadPhase, LoadReport, SlowReaders } from './plan.ts';
import { chatRequest } from './requests.ts';
import { Tally } from './tally.ts';

/** Ticks per second in which each reader takes its share of bytes. */
const ticksPerSecond = 4;

/**
 * Reads every stream at a fixed rate and leaves before its end. `completed` counts the readers whose stream was still
 * flowing at the end; a connection that was closed on a reader is an error.
 */
export async function runSlowReaders(
  plan: SlowReaders,
  phase: (phase: LoadPhase) => void,
): Promise<LoadReport> {
  const tally = new Tally(plan.watch);
  const request = chatRequest(plan.to, plan.model, true);
  const share = Math.ceil(plan.bytesPerSecond / ticksPerSecond);
  tally.open();
  phase('begun');
  let firstBytes = 0;
  const sockets = Array.from({ length: plan.readers }, () => {
    // The socket itself must not read ahead of the reader: beyond one share the bytes stay in the kernel.
    const socket = connect({ host: '127.0.0.1', port: plan.to.port, highWaterMark: share } as never);
    socket.on('error', (error) => tally.error(error.message));
    socket.on('end', () => tally.error('the gateway ended the stream of a slow reader'));
    socket.once('readable', () => {
      firstBytes += 1;
      if (firstBytes === plan.readers) phase('all-open');
    });
    socket.write(request);
    return socket;
  });
  const timer = setInterval(() => {
    for (const socket of sockets) takeShare(socket, share, tally);
  }, 1000 / ticksPerSecond);
  await new Promise((resolve) => setTimeout(resolve, plan.durationMs));
  clearInterval(timer);
  tally.completed = sockets.filter((socket) => !socket.destroyed && !socket.readableEnded).length;
  const report = tally.close();
  for (const socket of sockets) socket.destroy();
  return report;
}

function takeShare(socket: Socket, share: number, tally: Tally): void {
  const bytes: unknown = socket.read(Math.min(share, socket.readableLength));
  if (Buffer.isBuffer(bytes)) tally.bodyBytes += bytes.length;
}
