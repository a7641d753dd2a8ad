/** Rewrites of a play's body that keep its bytes and its gates in order. */
import { setTimeout as delay } from 'node:timers/promises';
import { constants, createGzip } from 'node:zlib';
import type { Step, Steps } from './play.ts';

const isBytes = (step: Step): step is string | Uint8Array =>
  typeof step === 'string' || step instanceof Uint8Array;

/** Cuts the bytes at offsets from the start of the body, wherever its steps ended; gates stay where they were. */
export async function* cutAt(steps: Steps, offsets: readonly number[]): AsyncIterable<Step> {
  const cuts = [...new Set(offsets)].sort((a, b) => a - b);
  let at = 0;
  for await (const step of steps) {
    if (!isBytes(step)) {
      yield step;
      continue;
    }
    const bytes = Buffer.from(step);
    const inside = cuts.filter((cut) => cut > at && cut < at + bytes.length).map((cut) => cut - at);
    const bounds = [0, ...inside, bytes.length];
    for (let i = 1; i < bounds.length; i++) yield bytes.subarray(bounds[i - 1], bounds[i]);
    at += bytes.length;
  }
}

/** Cuts each step into pieces of at most `bytes`. */
export async function* inPieces(steps: Steps, bytes: number, pauseMs: number): AsyncIterable<Step> {
  for await (const step of steps) {
    if (!isBytes(step)) {
      yield step;
      continue;
    }
    const whole = Buffer.from(step);
    for (let at = 0; at < whole.length; at += bytes) {
      yield whole.subarray(at, at + bytes);
      if (pauseMs > 0) yield () => delay(pauseMs);
    }
  }
}

/** One gzip stream over the whole body, flushed after each step of bytes. */
export async function* gzipSteps(steps: Steps): AsyncIterable<Step> {
  const gzip = createGzip();
  let pieces: Buffer[] = [];
  gzip.on('data', (piece: Buffer) => pieces.push(piece));
  const taken = (): Buffer => {
    const bytes = Buffer.concat(pieces);
    pieces = [];
    return bytes;
  };
  for await (const step of steps) {
    if (!isBytes(step)) {
      yield step;
      continue;
    }
    gzip.write(step);
    await new Promise<void>((flushed) => gzip.flush(constants.Z_SYNC_FLUSH, flushed));
    yield taken();
  }
  const ended = new Promise((resolve) => gzip.once('end', resolve));
  gzip.end();
  await ended;
  yield taken();
}
