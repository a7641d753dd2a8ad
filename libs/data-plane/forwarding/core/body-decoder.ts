/**
 * Takes the framing off a body, resumable at any byte. Guarantee: what `onData` sees, joined, is the body, however the
 * network cut it; nothing is held back.
 *
 * States of a chunked body (RFC 9112 §7.1): `size` → `data` → `data-end` → `size` …, and after the chunk of size 0
 * `trailer` until an empty line → done. Extensions and trailers are read past.
 */
import { MalformedAnswer, type Framing } from './response-start.ts';

const cr = 0x0d;
const lf = 0x0a;
const lineBytesMax = 16 * 1024;

export class BodyDecoder {
  #state: 'size' | 'extension' | 'data' | 'data-end' | 'trailer' | 'raw' | 'done';
  /** Bytes of the current chunk, or of the whole body, still to come. */
  #left: number;
  #digits = 0;
  #lineBytes = 0;
  readonly #untilClose: boolean;

  constructor(framing: Framing) {
    this.#untilClose = framing.kind === 'until-close';
    this.#left = framing.kind === 'length' ? framing.bytes : this.#untilClose ? Infinity : 0;
    if (framing.kind === 'none') this.#state = 'done';
    else this.#state = framing.kind === 'chunked' ? 'size' : 'raw';
  }

  /** True once the whole body has been seen. */
  get done(): boolean {
    return this.#state === 'done';
  }

  /** Whether the end of the connection, here, is the end of the body. */
  get endsWithConnection(): boolean {
    return this.#untilClose;
  }

  /**
   * Takes bytes from `at` on; returns the index after the last one that belongs to this body.
   * @throws MalformedAnswer
   */
  feed(bytes: Buffer, at: number, onData: (chunk: Buffer) => void): number {
    let i = at;
    while (i < bytes.length && this.#state !== 'done') {
      if (this.#state === 'raw' || this.#state === 'data') i = this.#takeData(bytes, i, onData);
      else this.#takeFraming(bytes[i++] as number);
    }
    return i;
  }

  #takeData(bytes: Buffer, at: number, onData: (chunk: Buffer) => void): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.#left -= end - at;
    if (this.#left === 0) this.#state = this.#state === 'raw' ? 'done' : 'data-end';
    onData(bytes.subarray(at, end));
    return end;
  }

  #takeFraming(byte: number): void {
    if (++this.#lineBytes > lineBytesMax) throw new MalformedAnswer('an endless line between chunks');
    switch (this.#state) {
      case 'size':
        this.#takeSize(byte);
        break;
      case 'extension':
        if (byte === lf) this.#endOfSize();
        break;
      case 'data-end':
        if (byte === lf) this.#begin('size');
        else if (byte !== cr) throw new MalformedAnswer('a chunk that is longer than its size');
        break;
      default:
        this.#takeTrailer(byte);
    }
  }

  #takeSize(byte: number): void {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      if (++this.#digits > 12) throw new MalformedAnswer('a chunk size that is too large');
      this.#left = this.#left * 16 + digit;
    } else if (this.#digits === 0) throw new MalformedAnswer('a chunk without a size');
    else if (byte === lf) this.#endOfSize();
    else this.#state = 'extension'; // `;name=value`, blanks, or the CR before the line feed
  }

  #endOfSize(): void {
    this.#begin(this.#left > 0 ? 'data' : 'trailer');
  }

  /** A line counts as empty when nothing but CR came before its line feed. */
  #takeTrailer(byte: number): void {
    if (byte === lf) {
      if (this.#lineBytes <= 2 && this.#digits === 0) this.#state = 'done';
      else this.#begin('trailer');
    } else if (byte !== cr) this.#digits = 1; // something stands in this line
  }

  #begin(state: 'size' | 'data' | 'trailer'): void {
    this.#state = state;
    this.#digits = 0;
    this.#lineBytes = 0;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
