/** A closed set of names, looked up by their bytes in JSON without making a string of them. */
import { BACKSLASH, ascii, equals } from './json-bytes.ts';

/** Bytes of one character written as an escape: `\u0061`. */
const ESCAPE_BYTES = 6;

interface Entry<T> {
  readonly bytes: Uint8Array;
  readonly value: T;
}

export class ByteNames<T> {
  /** The longest spelling that can be one of the names: every character of it escaped. */
  readonly bytesMax: number;
  /** By length of the name: few names share one, so a key of another length costs one look. */
  readonly #byLength: (readonly Entry<T>[])[] = [];
  readonly #byName: ReadonlyMap<string, T>;

  constructor(names: Readonly<Record<string, T>>) {
    this.#byName = new Map(Object.entries(names));
    const lengthMax = Math.max(...[...this.#byName.keys()].map((name) => name.length));
    this.bytesMax = lengthMax * ESCAPE_BYTES;
    for (let length = 0; length <= lengthMax; length++) this.#byLength.push(this.#entriesOf(length));
  }

  /** What `buffer[start, end)`, the text between two quotes, stands for; undefined when it is no name of the set. */
  find(buffer: Buffer, start: number, end: number): T | undefined {
    const length = end - start;
    if (length < this.#byLength.length) {
      const entries = this.#byLength[length] as readonly Entry<T>[];
      for (let i = 0; i < entries.length; i++) {
        const entry = entries[i] as Entry<T>;
        if (equals(buffer, start, entry.bytes)) return entry.value;
      }
    }
    return length < ESCAPE_BYTES || length > this.bytesMax
      ? undefined
      : this.#findEscaped(buffer, start, end);
  }

  #findEscaped(buffer: Buffer, start: number, end: number): T | undefined {
    let i = start;
    while (i < end && buffer[i] !== BACKSLASH) i++;
    if (i === end) return undefined;
    try {
      return this.#byName.get(JSON.parse(`"${buffer.toString('latin1', start, end)}"`) as string);
    } catch {
      return undefined;
    }
  }

  #entriesOf(length: number): readonly Entry<T>[] {
    const ofLength = [...this.#byName].filter(([name]) => name.length === length);
    return ofLength.map(([name, value]) => ({ bytes: ascii(name), value }));
  }
}
