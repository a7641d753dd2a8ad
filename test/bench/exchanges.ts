/** The two kinds of requests the generator makes, each verified to the last byte. */
import type { Exchange } from './client.ts';
import { stampDigits, stampMark } from './mock-answers.ts';
import { monotonicMicros } from './monotonic.ts';
import type { Tally } from './tally.ts';

/** Told when the exchange is over, well or not. */
type Over = (ok: boolean) => void;

/** A request for one JSON answer; `startMs` (of `performance.now()`) is when its latency began to count. */
export function wholeAnswer(tally: Tally, startMs: number, over: Over): Exchange {
  let length = 0;
  let status = 0;
  return {
    head: (received) => {
      status = received;
    },
    body: (bytes) => {
      length += bytes.length;
    },
    end: () => {
      // Every answer has the same length; the first one sets it and the caller compares it with what it expects.
      if (tally.bodyBytes === 0 && status === 200) tally.bodyBytes = length;
      const ok = status === 200 && length === tally.bodyBytes;
      if (!ok) tally.error(`answer with status ${status} and ${length} bytes`);
      else if (tally.isOpen) {
        tally.completed += 1;
        tally.latency.add(performance.now() - startMs);
      }
      over(ok);
    },
    failed: (reason) => {
      tally.error(reason);
      over(false);
    },
  };
}

const stamp = Buffer.from(stampMark);
const done = Buffer.from('data: [DONE]');
/** Bytes kept from one read to the next, so that a mark cut by the network is still found, once. */
const keptMax = stamp.length + stampDigits - 1;

interface StreamWatch {
  readonly startMs: number;
  /** Chunks that carry a send time; a stream with another number of them is an error. */
  readonly chunks: number;
  /** Called at the first body byte. */
  readonly first?: () => void;
}

/** A request for a stream. */
export function streamedAnswer(tally: Tally, watch: StreamWatch, over: Over): Exchange {
  let status = 0;
  let chunks = 0;
  let sawDone = false;
  let tail = Buffer.alloc(0);
  let begun = false;
  const begin = (): void => {
    begun = true;
    if (tally.isOpen) tally.ttft.add(performance.now() - watch.startMs);
    watch.first?.();
  };
  const count = (bytes: Buffer): number => {
    const now = monotonicMicros();
    let from = 0;
    for (;;) {
      const at = bytes.indexOf(stamp, from);
      if (at < 0 || at + stamp.length + stampDigits > bytes.length) return from;
      from = at + stamp.length + stampDigits;
      chunks += 1;
      if (!tally.isOpen) continue;
      tally.chunks += 1;
      tally.chunkDelay.add((now - Number(bytes.toString('latin1', at + stamp.length, from))) / 1000);
    }
  };
  return {
    head: (received) => {
      status = received;
    },
    body: (read) => {
      if (!begun) begin();
      const bytes = tail.length === 0 ? read : Buffer.concat([tail, read]);
      const counted = count(bytes);
      sawDone ||= bytes.indexOf(done) >= 0;
      tail = Buffer.from(bytes.subarray(Math.max(counted, bytes.length - keptMax)));
    },
    end: () => {
      const ok = status === 200 && sawDone && chunks === watch.chunks;
      if (!ok)
        tally.error(`stream with status ${status}, ${chunks} chunks, ${sawDone ? 'with' : 'without'} [DONE]`);
      else if (tally.isOpen) tally.completed += 1;
      over(ok);
    },
    failed: (reason) => {
      tally.error(`${reason} (after ${chunks} chunks)`);
      over(false);
    },
  };
}
