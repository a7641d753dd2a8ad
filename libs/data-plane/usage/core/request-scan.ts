/**
 * Reads the few top-level fields of a JSON request that the gateway acts on, without parsing the rest. What it
 * accepts and reads agrees with JSON.parse for every valid body; of nested values it checks only that brackets
 * balance and strings end, and leaves the verdict on them to the backend.
 *
 * Longer than other files: it is one parser.
 */
import { ByteNames } from './byte-names.ts';
import {
  BACKSLASH,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  FOLD,
  OPEN_ARRAY,
  OPEN_OBJECT,
  QUOTE,
  ascii,
  closingQuote,
  equals,
  isSpace,
  nextBracketOrQuote,
} from './json-bytes.ts';

/** Where a value stands in the body: `body.subarray(start, end)`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Where `stream_options` stands and what an edit of it must know. */
export interface StreamOptionsAt extends ByteRange {
  readonly kind: 'object' | 'null' | 'other';
  readonly isEmpty: boolean;
  /** The value of `include_usage`, when there is one; `value` is null unless it is a boolean. */
  readonly include_usage: (ByteRange & { readonly value: boolean | null; readonly isNull: boolean }) | null;
}

/**
 * The top-level fields of a request. A field that is absent, or null, is null here (`stream`: false). The numbers
 * are as sent, any finite number; a value of another type reads as null, for the backend to judge.
 * Of a key that stands twice the last one counts.
 */
export interface RequestScan {
  readonly model: string | null;
  readonly stream: boolean;
  readonly stream_options: StreamOptionsAt | null;
  readonly max_tokens: number | null;
  readonly max_completion_tokens: number | null;
  readonly max_output_tokens: number | null;
  readonly n: number | null;
}

/** Why a body cannot be read, for the client, with the offset in bytes (from 0) where it went wrong. */
export interface MalformedRequest {
  readonly error: string;
}

type NumberField = 'max_tokens' | 'max_completion_tokens' | 'max_output_tokens' | 'n';

/** Numbers, because V8 compares strings that may be undefined by a call each (scanners.bench.ts). */
const Field = { None: 0, Model: 1, Stream: 2, StreamOptions: 3, IncludeUsage: 4, FirstNumber: 5 } as const;

const NUMBER_FIELDS: readonly NumberField[] = [
  'n',
  'max_tokens',
  'max_output_tokens',
  'max_completion_tokens',
];
const FIELDS = new ByteNames<number>({
  model: Field.Model,
  stream: Field.Stream,
  stream_options: Field.StreamOptions,
  include_usage: Field.IncludeUsage,
  ...Object.fromEntries(NUMBER_FIELDS.map((name, index) => [name, Field.FirstNumber + index])),
});

const TRUE = ascii('true');
const FALSE = ascii('false');
const NULL = ascii('null');
/** The literal that a byte begins. */
const LITERALS: readonly (Uint8Array | undefined)[] = Array.from({ length: 256 }, (_, byte) =>
  [TRUE, FALSE, NULL].find((literal) => literal[0] === byte),
);
const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const LETTER_E = 0x65;
/** Any number of so many digits is exact. */
const PLAIN_DIGITS_MAX = 15;
const BOM = Uint8Array.of(0xef, 0xbb, 0xbf);

/** Scans a request body. Never throws; depth and size of the body cost no stack. */
export function scanRequest(body: Buffer): RequestScan | MalformedRequest {
  const reader = new RequestReader(body);
  reader.readDocument();
  return reader.problem ?? reader.scan;
}

/** One pass over one body. Each reader of a part returns the index after it, or -1 once `problem` is set. */
class RequestReader {
  problem: MalformedRequest | null = null;
  readonly scan = {
    model: null as string | null,
    stream: false,
    stream_options: null as StreamOptionsAt | null,
    max_tokens: null as number | null,
    max_completion_tokens: null as number | null,
    max_output_tokens: null as number | null,
    n: null as number | null,
  };
  #includeUsage: StreamOptionsAt['include_usage'] = null;
  readonly #body: Buffer;
  readonly #end: number;

  constructor(body: Buffer) {
    this.#body = body;
    this.#end = body.length;
  }

  readDocument(): void {
    const start = this.#skipSpace(equals(this.#body, 0, BOM) ? BOM.length : 0);
    if (start === this.#end) return void this.#fail('the body is empty, a JSON object was expected', start);
    if (this.#body[start] !== OPEN_OBJECT) return void this.#fail('the body must be a JSON object', start);
    const after = this.#readObject(start, false);
    if (after < 0) return;
    const rest = this.#skipSpace(after);
    if (rest < this.#end) this.#fail('unexpected text after the JSON object', rest);
  }

  /** @param isOptions whether this is the object under `stream_options` rather than the body itself */
  #readObject(start: number, isOptions: boolean): number {
    const body = this.#body;
    let i = this.#skipSpace(start + 1);
    if (body[i] === CLOSE_OBJECT) return i + 1;
    for (;;) {
      i = this.#readPair(i, isOptions);
      if (i < 0) return i;
      i = this.#skipSpace(i);
      if (body[i] === CLOSE_OBJECT) return i + 1;
      if (body[i] !== COMMA) return this.#failExpecting('"," or "}"', i);
      i = this.#skipSpace(i + 1);
    }
  }

  /** A field name, its colon and its value. */
  #readPair(start: number, isOption: boolean): number {
    const body = this.#body;
    if (body[start] !== QUOTE) return this.#failExpecting('a field name in double quotes', start);
    const close = closingQuote(body, start + 1, this.#end);
    if (close < 0) return this.#fail('this string is not closed', start);
    const field = FIELDS.find(body, start + 1, close) ?? Field.None;
    const colon = this.#skipSpace(close + 1);
    if (body[colon] !== COLON) return this.#failExpecting('":" after the field name', colon);
    const value = this.#skipSpace(colon + 1);
    return isOption ? this.#readOption(field, value) : this.#readMember(field, value);
  }

  #readMember(field: number, start: number): number {
    switch (field) {
      case Field.None:
      case Field.IncludeUsage:
        return this.#skipValue(start);
      case Field.Model:
        return this.#readModel(start);
      case Field.Stream:
        return this.#readStream(start);
      case Field.StreamOptions:
        return this.#readStreamOptions(start);
      default:
        return this.#readNumber(NUMBER_FIELDS[field - Field.FirstNumber] as NumberField, start);
    }
  }

  #readModel(start: number): number {
    if (this.#body[start] !== QUOTE) {
      this.scan.model = null;
      return this.#standsHere(start, NULL)
        ? this.#skipValue(start)
        : this.#fail('`model` must be a string', start);
    }
    const close = closingQuote(this.#body, start + 1, this.#end);
    if (close < 0) return this.#fail('this string is not closed', start);
    this.scan.model = this.#decode(start + 1, close);
    return this.scan.model === null ? this.#fail('`model` is not a valid JSON string', start) : close + 1;
  }

  #readStream(start: number): number {
    this.scan.stream = this.#standsHere(start, TRUE);
    const isKnown = this.scan.stream || this.#standsHere(start, FALSE) || this.#standsHere(start, NULL);
    return isKnown ? this.#skipValue(start) : this.#fail('`stream` must be true or false', start);
  }

  #readNumber(field: NumberField, start: number): number {
    const end = this.#skipValue(start);
    if (end >= 0) this.scan[field] = this.#numberAt(start, end);
    return end;
  }

  #readStreamOptions(start: number): number {
    this.#includeUsage = null;
    const isObject = this.#body[start] === OPEN_OBJECT;
    const end = isObject ? this.#readObject(start, true) : this.#skipValue(start);
    if (end < 0) return end;
    this.scan.stream_options = {
      start,
      end,
      kind: isObject ? 'object' : this.#standsHere(start, NULL) ? 'null' : 'other',
      isEmpty: isObject && this.#body[this.#skipSpace(start + 1)] === CLOSE_OBJECT,
      include_usage: this.#includeUsage,
    };
    return end;
  }

  #readOption(field: number, start: number): number {
    const end = this.#skipValue(start);
    if (end < 0 || field !== Field.IncludeUsage) return end;
    const isTrue = this.#standsHere(start, TRUE);
    const value = isTrue || this.#standsHere(start, FALSE) ? isTrue : null;
    this.#includeUsage = { start, end, value, isNull: this.#standsHere(start, NULL) };
    return end;
  }

  #skipValue(start: number): number {
    const byte = this.#body[start];
    if (byte === QUOTE) {
      const close = closingQuote(this.#body, start + 1, this.#end);
      return close < 0 ? this.#fail('this string is not closed', start) : close + 1;
    }
    if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) return this.#skipNested(start);
    const literal = LITERALS[byte as number];
    if (literal !== undefined && this.#standsHere(start, literal)) return start + literal.length;
    const end = this.#numberEnd(start);
    return end < 0 ? this.#failExpecting('a JSON value', start) : end;
  }

  /** Counts brackets instead of recursing, so that a million of them are as good as one. */
  #skipNested(start: number): number {
    const body = this.#body;
    const end = this.#end;
    let depth = 0;
    for (let i = start; i < end; i = nextBracketOrQuote(body, i + 1, end)) {
      const byte = body[i] as number;
      if (byte === QUOTE) {
        const close = closingQuote(body, i + 1, end);
        if (close < 0) return this.#fail('this string is not closed', i);
        i = close;
      } else if ((byte | FOLD) === OPEN_OBJECT) {
        depth++;
      } else if (--depth === 0) {
        // Each closing bracket comes two after its opening one in ASCII.
        const isMatch = byte === (body[start] as number) + 2;
        return isMatch ? i + 1 : this.#fail(`this bracket does not match the one at byte ${start}`, i);
      }
    }
    return this.#fail('this bracket is not closed', start);
  }

  /** Index after the JSON number at `start`, or -1 when there is none; sets no problem. */
  #numberEnd(start: number): number {
    const body = this.#body;
    const whole = body[start] === MINUS ? start + 1 : start;
    let i = body[whole] === ZERO ? whole + 1 : this.#digitsEnd(whole);
    if (i > 0 && body[i] === POINT) i = this.#digitsEnd(i + 1);
    if (i > 0 && ((body[i] ?? 0) | FOLD) === LETTER_E) {
      const isSigned = body[i + 1] === PLUS || body[i + 1] === MINUS;
      i = this.#digitsEnd(isSigned ? i + 2 : i + 1);
    }
    return i;
  }

  #digitsEnd(start: number): number {
    let i = start;
    for (let byte = this.#body[i] ?? 0; byte >= ZERO && byte <= NINE; byte = this.#body[i] ?? 0) i++;
    return i > start ? i : -1;
  }

  #numberAt(start: number, end: number): number | null {
    const first = this.#body[start] ?? 0;
    if (first !== MINUS && (first < ZERO || first > NINE)) return null;
    let value = 0;
    for (let i = start; i < end; i++) {
      const byte = this.#body[i] as number;
      if (byte < ZERO || byte > NINE || i - start === PLAIN_DIGITS_MAX) return this.#longNumberAt(start, end);
      value = 10 * value + byte - ZERO;
    }
    return value;
  }

  #longNumberAt(start: number, end: number): number | null {
    const value = Number(this.#body.toString('latin1', start, end));
    return Number.isFinite(value) ? value : null;
  }

  #standsHere(at: number, literal: Uint8Array): boolean {
    return equals(this.#body, at, literal);
  }

  /** The text between two quotes, or null when JSON does not allow it. */
  #decode(start: number, end: number): string | null {
    let isPlain = true;
    for (let i = start; i < end && isPlain; i++) {
      const byte = this.#body[i] as number;
      isPlain = byte >= 0x20 && byte < 0x80 && byte !== BACKSLASH;
    }
    if (isPlain) return this.#body.toString('latin1', start, end);
    try {
      return JSON.parse(this.#body.toString('utf8', start - 1, end + 1)) as string;
    } catch {
      return null;
    }
  }

  #skipSpace(start: number): number {
    let i = start;
    while (i < this.#end && isSpace(this.#body[i] as number)) i++;
    return i;
  }

  #failExpecting(what: string, at: number): -1 {
    return this.#fail(at < this.#end ? `expected ${what}` : `the body ends where ${what} was expected`, at);
  }

  #fail(message: string, at: number): -1 {
    this.problem ??= { error: `${message} (byte ${at})` };
    return -1;
  }
}
