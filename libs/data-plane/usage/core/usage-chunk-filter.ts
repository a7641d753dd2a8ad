/**
 * Takes the usage chunk that we asked for out of a stream whose client did not ask. Every other byte reaches the
 * client unchanged and at once; only an event whose end has not come yet waits for it.
 */
import type { AnswerResult } from './answer-result.ts';
import { CR, LF } from './json-bytes.ts';
import { KeptBytes } from './kept-bytes.ts';
import { SseUsageScanner } from './sse-usage-scanner.ts';

/** An event longer than this is not held back and never removed. */
const EVENT_BYTES_MAX = 64 * 1024;
const NOTHING = Buffer.alloc(0);

export class UsageChunkFilter {
  readonly #scanner = new SseUsageScanner((at) => this.#eventEnded(at));
  /** First bytes of the event under way, from chunks before this one; those chunks may be reused by their owner. */
  readonly #held = new KeptBytes(EVENT_BYTES_MAX);
  #chunk: Buffer = NOTHING;
  #out: Buffer[] = [];
  /** Index of the first byte of the chunk that was neither forwarded nor removed. */
  #from = 0;
  /** Index where the event under way begins; 0 when it began in a chunk before. */
  #eventStart = 0;
  /** Whether the event under way grew too long to be held. */
  #isReleased = false;
  /** What happened to the event that ended last: an LF that completes its CRLF later goes the same way. */
  #wasRemoved = false;
  #endedInCr = false;

  /** The bytes for the client, in order: parts of `chunk` itself, and before them what was held. */
  push(chunk: Buffer): readonly Buffer[] {
    if (chunk.length === 0) return [];
    this.#begin(chunk);
    if (this.#endedInCr && chunk[0] === LF) {
      this.#eventStart = 1;
      if (this.#wasRemoved) this.#from = 1;
    }
    this.#scanner.push(chunk);
    this.#holdTail();
    return this.#handOver();
  }

  /** The stream is over, cleanly or not: what is still held, unless it is the usage chunk. */
  end(): readonly Buffer[] {
    this.#begin(NOTHING);
    this.#scanner.end();
    return this.#handOver();
  }

  result(): AnswerResult {
    return this.#scanner.result();
  }

  #begin(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#from = 0;
    this.#eventStart = 0;
  }

  /** Between two chunks nothing of the last one is kept, nor the memory that it shares with others. */
  #handOver(): readonly Buffer[] {
    const out = this.#out;
    this.#out = [];
    this.#chunk = NOTHING;
    return out;
  }

  #eventEnded(at: number): void {
    const length = this.#held.length + at - this.#eventStart;
    this.#wasRemoved = this.#scanner.isUsageChunk && !this.#isReleased && length <= EVENT_BYTES_MAX;
    if (this.#wasRemoved) {
      this.#forward(this.#eventStart);
      this.#held.clear();
      this.#from = at;
    } else if (!this.#held.isEmpty) {
      this.#out.push(this.#held.take());
    }
    this.#eventStart = at;
    this.#isReleased = false;
  }

  /** Forwards all whole events of the chunk, and keeps the rest while it is short enough to wait. */
  #holdTail(): void {
    const end = this.#chunk.length;
    const start = this.#eventStart;
    this.#endedInCr = start === end && this.#chunk[end - 1] === CR;
    if (start < end && !this.#isReleased) {
      if (this.#held.length + end - start <= EVENT_BYTES_MAX) {
        this.#forward(start);
        this.#held.append(this.#chunk, start, end);
        return;
      }
      if (!this.#held.isEmpty) this.#out.push(this.#held.take());
      this.#isReleased = true;
    }
    this.#forward(end);
  }

  #forward(end: number): void {
    const from = this.#from;
    if (from >= end) return;
    this.#out.push(from === 0 && end === this.#chunk.length ? this.#chunk : this.#chunk.subarray(from, end));
    this.#from = end;
  }
}
