import { meter } from '../engine/meter.ts';
import type { Bytes } from '../engine/types.ts';

/** Bytes that grow, paid for as they do. */
export class ByteBuffer {
  #bytes = new Uint8Array(64);
  #length = 0;

  /** @throws BudgetSpent when the string becomes too long */
  add(bytes: Bytes): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  addByte(byte: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = byte;
  }

  /** A copy of what was added. */
  take(): Bytes {
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    meter.allocateString(needed);
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
