/**
 * The events of a stream begin alike: same id, same model, a few words of difference at the end. This remembers
 * where reading such a beginning left the document, so that the next event that begins so is read from there. What
 * is found is the same as without it, because the state after some bytes depends on those bytes alone.
 */
import type { AnswerDocument, DocumentState } from './answer-document.ts';
import { equals } from './json-bytes.ts';

/** Longer than any repeated beginning seen in the wild, and little to keep per stream. */
const HEAD_BYTES_MAX = 256;
/** A shorter head saves less than it costs. */
const HEAD_BYTES_MIN = 32;

const NOTHING = Buffer.alloc(0);

/** A copy in memory of its own: from Buffer's pool, 256 bytes kept for a stream's life would keep 8 KB. */
function copyOf(buffer: Buffer, from: number, end: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(end - from);
  buffer.copy(copy, 0, from, end);
  return copy;
}

export class LearnedHead {
  #head: Buffer = NOTHING;
  #after: DocumentState | null = null;
  /** How the last event began that did not begin with the head. */
  #lastOther: Buffer = NOTHING;

  /**
   * Begins a fresh document with `buffer[from, end)`.
   * @returns the index up to which the document has been read
   */
  begin(document: AnswerDocument, buffer: Buffer, from: number, end: number): number {
    const head = this.#head;
    if (this.#after !== null && end - from >= head.length && equals(buffer, from, head)) {
      document.resumeAt(this.#after);
      return from + head.length;
    }
    return end - from < HEAD_BYTES_MIN ? from : this.#learn(document, buffer, from, end);
  }

  #learn(document: AnswerDocument, buffer: Buffer, from: number, end: number): number {
    const limit = Math.min(end, from + HEAD_BYTES_MAX);
    const other = this.#lastOther;
    let i = from;
    while (i < limit && i - from < other.length && buffer[i] === other[i - from]) i++;
    this.#lastOther = copyOf(buffer, from, limit);
    if (i - from < HEAD_BYTES_MIN) return from;
    document.feed(buffer, from, i);
    const after = document.state();
    if (after !== null) {
      this.#after = after;
      this.#head = this.#lastOther.subarray(0, i - from);
    }
    return i;
  }
}
