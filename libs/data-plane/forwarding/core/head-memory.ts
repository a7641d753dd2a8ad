/**
 * Reads the lines of a head, and remembers them: the heads that come over one connection, or from one backend, mostly
 * repeat each other line by line, and a line that was cut up and checked once need not be again. Guarantee: what a head
 * is read as does not depend on the heads before it.
 */

export interface HeaderLine {
  readonly text: string;
  readonly name: string;
  readonly value: string;
  /** The name in lower case where it is one that decides the framing, else empty. */
  readonly noted: string;
}

/** How lines are read; what either throws is thrown by `read`, and the line is not remembered. */
export interface LineReaders<First> {
  first(text: string): First;
  header(text: string): HeaderLine;
}

export class HeadMemory<First extends { readonly text: string }> {
  readonly #readers: LineReaders<First>;
  readonly #headers: HeaderLine[] = [];
  #first: First | undefined;

  constructor(readers: LineReaders<First>) {
    this.#readers = readers;
  }

  /**
   * @param text first line and headers, one character per byte, without the empty line that ends them
   * @returns the headers are valid until the next call
   */
  read(text: string): { readonly first: First; readonly headers: readonly HeaderLine[] } {
    const known = this.#first;
    const first = known && standsAt(text, known.text, 0) ? known : this.#readers.first(lineAt(text, 0));
    this.#first = first;
    const headers = this.#headers;
    let count = 0;
    for (let at = first.text.length + 2; at < text.length + 2; count += 1) {
      let line = headers[count];
      if (line === undefined || !standsAt(text, line.text, at)) {
        line = this.#readers.header(lineAt(text, at));
        headers[count] = line;
      }
      at += line.text.length + 2;
    }
    headers.length = count;
    return { first, headers };
  }
}

/** What a header line may not be, and which are noted. */
export interface HeaderRules {
  readonly badValue: RegExp;
  /** Lower-case names. */
  readonly noted: ReadonlySet<string>;
  /** The error for a line that has no proper name, or whose value is bad. */
  malformed(part: 'name' | 'value'): Error;
}

const badName = /[^!#$%&'*+\-.^_`|~0-9A-Za-z]/;

/** Makes the reader of `name: value`; it throws what `malformed` gives. */
export function headerReader({ badValue, noted, malformed }: HeaderRules): (text: string) => HeaderLine {
  return (text) => {
    const colon = text.indexOf(':');
    const name = text.slice(0, colon);
    if (colon <= 0 || badName.test(name)) throw malformed('name');
    const value = text.slice(colon + 1).trim();
    if (badValue.test(value)) throw malformed('value');
    const lowerCase = name.toLowerCase();
    return { text, name, value, noted: noted.has(lowerCase) ? lowerCase : '' };
  };
}

const cr = 0x0d;
const lf = 0x0a;

/** Whether `line`, and nothing more, stands in the line that begins at `at`. */
function standsAt(text: string, line: string, at: number): boolean {
  if (!text.startsWith(line, at)) return false;
  const end = at + line.length;
  return end === text.length || (text.charCodeAt(end) === cr && text.charCodeAt(end + 1) === lf);
}

/** The line that begins at `at`. A slice would keep all of `text` alive: the line gets characters of its own. */
function lineAt(text: string, at: number): string {
  const end = text.indexOf('\r\n', at);
  return Buffer.from(text.slice(at, end === -1 ? text.length : end), 'latin1').toString('latin1');
}
