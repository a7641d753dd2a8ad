/**
 * One JSON document of an answer, read as its bytes come and forgotten as they go. It notices only what stands at
 * fixed places (`usage`, `response.usage`, `message.usage`, `choices`, `type`, `object`, `error`), so a look-alike
 * inside content or tool arguments is never taken for the real one. What it finds does not depend on how the bytes
 * were cut; what it keeps is bounded.
 *
 * Longer than other files: it is one state machine, and the states are easiest to follow beside their exits.
 */
import {
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  FOLD,
  OPEN_ARRAY,
  OPEN_OBJECT,
  QUOTE,
  ascii,
  closingQuote,
  isEscaped,
  nextBracketOrQuote,
  isSpace,
} from './json-bytes.ts';
import { ByteNames } from './byte-names.ts';
import { KeptBytes } from './kept-bytes.ts';

/** A usage object longer than this is not read. */
const USAGE_BYTES_MAX = 16 * 1024;

/**
 * Where in the document the next byte stands. Members are followed at the top and one level down in `response`
 * and `message` (`#level` 1 and 2); every other value is skipped.
 *
 *   Start → BeforeKey (`{`) | DoneMark (`[`) | Broken
 *   BeforeKey → Key | Closed, or AfterValue of the level above (`}`)
 *   Key → BeforeColon → BeforeValue → String | Text | Scalar | Nested | Choices | BeforeKey of the level below
 *   Choices → AfterValue (empty) | Nested;   Nested ⇄ NestedString;   all of these → AfterValue
 *   AfterValue → BeforeKey (`,`) | Closed, or AfterValue of the level above (`}`)
 *   DoneMark, Closed, Broken: the end; anything but white space after the first two leads to Broken
 */
const State = {
  Start: 0,
  BeforeKey: 1,
  Key: 2,
  BeforeColon: 3,
  BeforeValue: 4,
  AfterValue: 5,
  /** A string value nobody asks about. */
  String: 6,
  /** The string value of `type` or `object`. */
  Text: 7,
  /** A number or literal. */
  Scalar: 8,
  Nested: 9,
  NestedString: 10,
  Choices: 11,
  DoneMark: 12,
  Closed: 13,
  Broken: 14,
} as const;
type State = (typeof State)[keyof typeof State];

const Field = { None: 0, Usage: 1, Choices: 2, Type: 3, Object: 4, Error: 5, Parent: 6 } as const;
type Field = (typeof Field)[keyof typeof Field];

/** The fields whose value we look into: the byte it must begin with, and what comes next. */
const ENTRIES: Partial<Record<Field, { readonly byte: number; readonly state: State }>> = {
  [Field.Choices]: { byte: OPEN_ARRAY, state: State.Choices },
  [Field.Type]: { byte: QUOTE, state: State.Text },
  [Field.Object]: { byte: QUOTE, state: State.Text },
  [Field.Parent]: { byte: OPEN_OBJECT, state: State.BeforeKey },
};

const KEYS = new ByteNames<Field>({
  usage: Field.Usage,
  choices: Field.Choices,
  type: Field.Type,
  object: Field.Object,
  error: Field.Error,
  response: Field.Parent,
  message: Field.Parent,
});

const Mark = { Ended: 0, Failed: 1, Error: 2 } as const;
const MARKS = new ByteNames<(typeof Mark)[keyof typeof Mark]>({
  message_stop: Mark.Ended,
  'response.completed': Mark.Ended,
  'response.incomplete': Mark.Ended,
  'response.failed': Mark.Failed,
  error: Mark.Error,
});

const DONE = ascii('[DONE]');
const FIRST_OF_NULL = 0x6e;

/** Where a document stands; see {@link AnswerDocument.state}. */
export interface DocumentState {
  readonly state: State;
  readonly level: number;
  readonly depth: number;
  readonly field: Field;
}

export class AnswerDocument {
  /** The last complete usage object of at most 16 KB, wherever of the three places it stood. */
  usage: object | null = null;
  /** Whether a `usage` object stands at the top, of any size. */
  hasTopUsage = false;
  /** Whether `choices` at the top is an empty array. */
  hasNoChoices = false;
  /** Whether there is an `error` at the top that is not null, or `type` or `object` tells of a failure. */
  hasError = false;
  /** Whether `type` at the top is the last of a stream: `message_stop`, `response.completed|incomplete|failed`. */
  hasEndMark = false;

  #state: State = State.Start;
  #level = 0;
  #depth = 0;
  #field: Field = Field.None;
  /** Whether the piece before ended in an unpaired backslash within a string. */
  #escaped = false;
  #isCapturing = false;
  #captureFrom = 0;
  #doneBytes = 0;
  readonly #captured = new KeptBytes(USAGE_BYTES_MAX);
  readonly #token = new KeptBytes(Math.max(KEYS.bytesMax, MARKS.bytesMax));

  /** Whether the whole document was read and was an object. */
  get isClosed(): boolean {
    return this.#state === State.Closed;
  }

  /** Whether the document is the text `[DONE]`, OpenAI's end of a stream. */
  get isDoneMark(): boolean {
    return this.#state === State.DoneMark && this.#doneBytes === DONE.length;
  }

  /** Forgets everything: the next byte is the first of another document. */
  reset(): void {
    this.usage = null;
    this.hasTopUsage = false;
    this.hasNoChoices = false;
    this.hasError = false;
    this.hasEndMark = false;
    this.#state = State.Start;
    this.#level = 0;
    this.#escaped = false;
    this.#isCapturing = false;
    this.#doneBytes = 0;
    this.#captured.clear();
    this.#token.clear();
  }

  /** Where the document stands, when that is all there is to know of it: nothing found, nothing half read. */
  state(): DocumentState | null {
    const hasFound =
      this.usage !== null || this.hasTopUsage || this.hasNoChoices || this.hasError || this.hasEndMark;
    const isHalfRead = this.#isCapturing || this.#escaped || !this.#token.isEmpty || this.#doneBytes > 0;
    if (hasFound || isHalfRead) return null;
    return { state: this.#state, level: this.#level, depth: this.#depth, field: this.#field };
  }

  /** Puts a fresh document where another one stood after the same bytes. */
  resumeAt(state: DocumentState): void {
    this.#state = state.state;
    this.#level = state.level;
    this.#depth = state.depth;
    this.#field = state.field;
  }

  /** Whether nothing but white space was read. */
  get isFresh(): boolean {
    return this.#state === State.Start;
  }

  /** Reads `buffer[from, end)`, the next bytes of the document; keeps no reference to the buffer. */
  feed(buffer: Buffer, from: number, end: number): void {
    this.#captureFrom = from;
    let i = from;
    while (i < end) i = this.#step(buffer, i, end);
    if (this.#isCapturing) this.#captured.append(buffer, this.#captureFrom, end);
  }

  // One case per state; splitting the table would hide it.
  // eslint-disable-next-line complexity
  #step(buffer: Buffer, i: number, end: number): number {
    switch (this.#state) {
      case State.Start:
        return this.#start(buffer, i);
      case State.BeforeKey:
        return this.#beforeKey(buffer, i, end);
      case State.Key:
        return this.#key(buffer, i, end);
      case State.BeforeColon:
        return this.#beforeColon(buffer, i);
      case State.BeforeValue:
        return this.#beforeValue(buffer, i, end);
      case State.AfterValue:
        return this.#afterValue(buffer, i, end);
      case State.String:
        return this.#string(buffer, i, end);
      case State.Text:
        return this.#text(buffer, i, end);
      case State.Scalar:
        return this.#scalar(buffer, i, end);
      case State.Nested:
        return this.#nested(buffer, i, end);
      case State.NestedString:
        return this.#nestedString(buffer, i, end);
      case State.Choices:
        return this.#choices(buffer, i);
      case State.DoneMark:
        return this.#doneMark(buffer, i);
      case State.Closed:
        if (!isSpace(buffer[i] as number)) this.#state = State.Broken;
        return i + 1;
      case State.Broken:
        return end;
    }
  }

  #start(buffer: Buffer, i: number): number {
    const byte = buffer[i] as number;
    if (byte === OPEN_OBJECT) {
      this.#level = 1;
      this.#state = State.BeforeKey;
    } else if (byte === OPEN_ARRAY) {
      this.#state = State.DoneMark;
      return i;
    } else if (!isSpace(byte) && !isBomByte(byte)) {
      this.#state = State.Broken;
    }
    return i + 1;
  }

  #doneMark(buffer: Buffer, i: number): number {
    const byte = buffer[i] as number;
    if (byte === DONE[this.#doneBytes]) this.#doneBytes++;
    else if (this.#doneBytes < DONE.length || !isSpace(byte)) this.#state = State.Broken;
    return i + 1;
  }

  #beforeKey(buffer: Buffer, i: number, end: number): number {
    const byte = buffer[i] as number;
    if (byte === QUOTE) {
      this.#state = State.Key;
      return i + 1 < end ? this.#key(buffer, i + 1, end) : i + 1;
    }
    if (byte === CLOSE_OBJECT) this.#leave();
    else if (!isSpace(byte)) this.#state = State.Broken;
    return i + 1;
  }

  #key(buffer: Buffer, i: number, end: number): number {
    const close = this.#stringEnd(buffer, i, end);
    if (close < 0) {
      this.#token.append(buffer, i, end);
      return end;
    }
    this.#field = this.#finishKey(buffer, i, close);
    if (close + 1 < end && buffer[close + 1] === COLON) {
      this.#state = State.BeforeValue;
      return close + 2 < end ? this.#beforeValue(buffer, close + 2, end) : close + 2;
    }
    this.#state = State.BeforeColon;
    return close + 1;
  }

  #finishKey(buffer: Buffer, start: number, end: number): Field {
    const field = this.#findToken(KEYS, buffer, start, end) ?? Field.None;
    return this.#level === 1 || field === Field.Usage ? field : Field.None;
  }

  /** What the token ending with `buffer[start, end)` stands for, its first bytes having been kept if it was cut. */
  #findToken<T>(names: ByteNames<T>, buffer: Buffer, start: number, end: number): T | undefined {
    const token = this.#token;
    if (token.isEmpty) return names.find(buffer, start, end);
    token.append(buffer, start, end);
    const found = token.isOver ? undefined : names.find(token.bytes, 0, token.length);
    token.clear();
    return found;
  }

  #beforeColon(buffer: Buffer, i: number): number {
    const byte = buffer[i] as number;
    if (byte === COLON) this.#state = State.BeforeValue;
    else if (!isSpace(byte)) this.#state = State.Broken;
    return i + 1;
  }

  #beforeValue(buffer: Buffer, i: number, end: number): number {
    const byte = buffer[i] as number;
    if (isSpace(byte)) return i + 1;
    if (this.#field !== Field.None && this.#beginKnown(byte, i)) return i + 1;
    if (byte === QUOTE) {
      this.#state = State.String;
      return i + 1 < end ? this.#string(buffer, i + 1, end) : i + 1;
    }
    if ((byte | FOLD) === OPEN_OBJECT) {
      this.#state = State.Nested;
      this.#depth = 1;
      return this.#nested(buffer, i + 1, end);
    }
    this.#state = State.Scalar;
    return this.#scalar(buffer, i, end);
  }

  /** Begins the value of a field we know; false when it is to be skipped like any other. */
  #beginKnown(byte: number, at: number): boolean {
    const field = this.#field;
    if (field === Field.Usage) this.#beginUsage(byte, at);
    if (field === Field.Error && byte !== FIRST_OF_NULL) this.hasError = true;
    if (field === Field.Choices) this.hasNoChoices = false;
    const entry = ENTRIES[field];
    if (entry === undefined || byte !== entry.byte) return false;
    this.#state = entry.state;
    if (field === Field.Parent) this.#level = 2;
    return true;
  }

  #beginUsage(byte: number, at: number): void {
    if (byte !== OPEN_OBJECT) return;
    if (this.#level === 1) this.hasTopUsage = true;
    this.#isCapturing = true;
    this.#captureFrom = at;
  }

  #choices(buffer: Buffer, i: number): number {
    const byte = buffer[i] as number;
    if (isSpace(byte)) return i + 1;
    if (byte === CLOSE_ARRAY) {
      this.hasNoChoices = true;
      this.#state = State.AfterValue;
      return i + 1;
    }
    this.#state = State.Nested;
    this.#depth = 1;
    return i;
  }

  #string(buffer: Buffer, i: number, end: number): number {
    const close = this.#stringEnd(buffer, i, end);
    if (close < 0) return end;
    return this.#valueEnded(buffer, close + 1, end);
  }

  #text(buffer: Buffer, i: number, end: number): number {
    const close = this.#stringEnd(buffer, i, end);
    if (close < 0) {
      this.#token.append(buffer, i, end);
      return end;
    }
    const mark = this.#findToken(MARKS, buffer, i, close);
    if (mark === Mark.Error) this.hasError = true;
    else if (mark !== undefined && this.#field === Field.Type) {
      this.hasEndMark = true;
      if (mark === Mark.Failed) this.hasError = true;
    }
    return this.#valueEnded(buffer, close + 1, end);
  }

  /** Goes straight on to the next key when it follows without white space, as it nearly always does. */
  #valueEnded(buffer: Buffer, i: number, end: number): number {
    if (i < end && buffer[i] === COMMA) {
      this.#state = State.BeforeKey;
      return i + 1;
    }
    this.#state = State.AfterValue;
    return i;
  }

  #scalar(buffer: Buffer, from: number, end: number): number {
    for (let i = from; i < end; i++) {
      const byte = buffer[i] as number;
      if (byte === COMMA || byte === CLOSE_OBJECT || isSpace(byte)) return this.#valueEnded(buffer, i, end);
    }
    return end;
  }

  /** Depth is a number, so it costs no stack; a bracket of the wrong kind is the sender's affair. */
  #nested(buffer: Buffer, from: number, end: number): number {
    let depth = this.#depth;
    let i = nextBracketOrQuote(buffer, from, end);
    while (i < end) {
      const byte = buffer[i] as number;
      if (byte === QUOTE) {
        const close = closingQuote(buffer, i + 1, end);
        if (close < 0) {
          this.#depth = depth;
          return this.#leftOpen(buffer, i + 1, end);
        }
        i = close;
      } else if ((byte | FOLD) === OPEN_OBJECT) {
        depth++;
      } else if (--depth === 0) {
        if (this.#isCapturing) this.#finishUsage(buffer, i + 1);
        return this.#valueEnded(buffer, i + 1, end);
      }
      i = nextBracketOrQuote(buffer, i + 1, end);
    }
    this.#depth = depth;
    return end;
  }

  #leftOpen(buffer: Buffer, from: number, end: number): number {
    this.#state = State.NestedString;
    this.#escaped = isEscaped(buffer, from, end);
    return end;
  }

  #nestedString(buffer: Buffer, i: number, end: number): number {
    const close = this.#stringEnd(buffer, i, end);
    if (close < 0) return end;
    this.#state = State.Nested;
    return close + 1;
  }

  #finishUsage(buffer: Buffer, end: number): void {
    const start = this.#captureFrom;
    const kept = this.#captured;
    this.#isCapturing = false;
    if (!kept.isEmpty) {
      kept.append(buffer, start, end);
      if (!kept.isOver) this.usage = parseObject(kept.bytes, 0, kept.length) ?? this.usage;
      kept.clear();
    } else if (end - start <= USAGE_BYTES_MAX) {
      this.usage = parseObject(buffer, start, end) ?? this.usage;
    }
  }

  #afterValue(buffer: Buffer, i: number, end: number): number {
    const byte = buffer[i] as number;
    if (byte === COMMA) {
      this.#state = State.BeforeKey;
      return i + 1 < end ? this.#beforeKey(buffer, i + 1, end) : i + 1;
    }
    if (byte === CLOSE_OBJECT) this.#leave();
    else if (!isSpace(byte)) this.#state = State.Broken;
    return i + 1;
  }

  #leave(): void {
    this.#level--;
    this.#state = this.#level === 0 ? State.Closed : State.AfterValue;
  }

  /** Index of the quote that ends the string under way, or -1 when it goes on in the next piece. */
  #stringEnd(buffer: Buffer, i: number, end: number): number {
    const from = this.#escaped ? i + 1 : i;
    const close = closingQuote(buffer, from, end);
    this.#escaped = close < 0 && isEscaped(buffer, from, end);
    return close;
  }
}

/** latin1 needs no decoding, and no count is spelled with bytes that it would misread. */
function parseObject(buffer: Buffer, start: number, end: number): object | null {
  try {
    return JSON.parse(buffer.toString('latin1', start, end)) as object;
  } catch {
    return null;
  }
}

function isBomByte(byte: number): boolean {
  return byte === 0xef || byte === 0xbb || byte === 0xbf;
}
