/** Bytes that must outlive the chunk they came in, up to a bound; memory is taken only when a cut makes it needed. */

const FIRST_BYTES = 256;
const NOTHING: Buffer = Buffer.alloc(0);

export class KeptBytes {
  length = 0;
  /** Whether more came than fits; then the bytes are worthless and `length` counts no further. */
  isOver = false;
  bytes = NOTHING;
  readonly #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get isEmpty(): boolean {
    return this.length === 0 && !this.isOver;
  }

  append(buffer: Buffer, from: number, end: number): void {
    const length = this.length + end - from;
    if (this.isOver || length > this.#bytesMax) {
      this.isOver = true;
      return;
    }
    if (length > this.bytes.length) this.#grow(length);
    buffer.copy(this.bytes, this.length, from, end);
    this.length = length;
  }

  /** Hands the bytes over; the caller owns their memory and this is empty again. */
  take(): Buffer {
    const taken = this.bytes.subarray(0, this.length);
    this.bytes = NOTHING;
    this.clear();
    return taken;
  }

  clear(): void {
    this.length = 0;
    this.isOver = false;
  }

  #grow(length: number): void {
    const size = Math.min(this.#bytesMax, Math.max(FIRST_BYTES, 2 * length));
    const larger = Buffer.allocUnsafeSlow(size);
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }
}
