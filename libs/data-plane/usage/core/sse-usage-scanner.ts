/**
 * Reads usage and the end mark out of a stream of server-sent events as its bytes pass. Lines end in LF, CR or
 * CRLF; `data:` with or without a space; several data lines of an event join to one document; comments and other
 * fields are passed over. Nothing it finds depends on how the stream was cut.
 */
import { AnswerDocument } from './answer-document.ts';
import type { AnswerResult } from './answer-result.ts';
import { COLON, CR, LF, ascii, equals } from './json-bytes.ts';
import { LearnedHead } from './learned-head.ts';
import { mergeReports, normaliseUsage, type ReportedUsage } from './token-usage.ts';

const DATA = ascii('data:');
const BOM = Uint8Array.of(0xef, 0xbb, 0xbf);
const ERROR_LINES = new Set(['event:error', 'event: error']);
/** As much of a line as tells a data line, a byte order mark and an error event from all others. */
const HEAD_BYTES_MAX = 'event: error'.length + 1;
const LINE_BREAK = Buffer.from('\n');

/**
 * Where in a line the next byte stands.
 *
 *   Head (the first bytes, kept until they tell what the line is) → Data | Rest | Head of the next line
 *   Data (inside the document) → Head;   Rest (nothing of interest) → Head
 */
const Line = { Head: 0, Data: 1, Rest: 2 } as const;

export class SseUsageScanner {
  #line: (typeof Line)[keyof typeof Line] = Line.Head;
  readonly #lineHead = Buffer.alloc(HEAD_BYTES_MAX);
  #lineHeadBytes = 0;
  #isFirstLine = true;
  /** Whether the event under way has a data line already: another one joins it after a line break. */
  #hasData = false;
  /** Whether the chunk before ended in CR: an LF that comes first now belongs to it. */
  #endedInCr = false;
  /** Index of the next CR of the chunk, or its length; most streams have none, so it is looked for once. */
  #nextCr = 0;
  #reported: ReportedUsage | null = null;
  #ended = false;
  #failed = false;
  readonly #document = new AnswerDocument();
  readonly #learned = new LearnedHead();
  readonly #eventEnded: ((at: number) => void) | undefined;

  /** @param eventEnded told the index after each event's last byte, while `isUsageChunk` still speaks of it */
  constructor(eventEnded?: (at: number) => void) {
    this.#eventEnded = eventEnded;
  }

  /**
   * Whether the data of the event that ends now has an empty `choices` and a `usage` object at its top: the chunk
   * that OpenAI's `include_usage` adds.
   */
  get isUsageChunk(): boolean {
    const { isClosed, hasNoChoices, hasTopUsage } = this.#document;
    return isClosed && hasNoChoices && hasTopUsage;
  }

  push(chunk: Buffer): void {
    const end = chunk.length;
    if (end === 0) return;
    this.#nextCr = indexOr(chunk, CR, 0, end);
    let i = this.#endedInCr && chunk[0] === LF ? 1 : 0;
    this.#endedInCr = chunk[end - 1] === CR;
    while (i < end) {
      if (this.#line === Line.Head) i = this.#readHead(chunk, i, end);
      else i = this.#readRest(chunk, i, end);
    }
  }

  /** The stream is over, cleanly or not: an event that lacks its blank line counts too. */
  end(): void {
    this.#finishLine();
    this.#finishEvent(0);
  }

  result(): AnswerResult {
    return { usage: normaliseUsage(this.#reported), ended: this.#ended, failed: this.#failed };
  }

  #readHead(chunk: Buffer, from: number, end: number): number {
    if (this.#lineHeadBytes === 0 && equals(chunk, from, DATA)) return this.#beginData(from + DATA.length);
    for (let i = from; i < end; i++) {
      const byte = chunk[i] as number;
      if (byte === LF || byte === CR) return this.#lineEnded(chunk, i);
      this.#lineHead[this.#lineHeadBytes++] = byte;
      if (this.#lineHeadBytes === BOM.length) this.#dropBom();
      else if (byte === COLON && this.#isDataHead()) return this.#beginData(i + 1);
      else if (this.#lineHeadBytes === HEAD_BYTES_MAX) {
        this.#line = Line.Rest;
        return i + 1;
      }
    }
    return end;
  }

  #isDataHead(): boolean {
    return this.#lineHeadBytes === DATA.length && equals(this.#lineHead, 0, DATA);
  }

  #dropBom(): void {
    if (this.#isFirstLine && equals(this.#lineHead, 0, BOM)) this.#lineHeadBytes = 0;
    this.#isFirstLine = false;
  }

  #beginData(at: number): number {
    if (this.#hasData) this.#document.feed(LINE_BREAK, 0, 1);
    this.#hasData = true;
    this.#line = Line.Data;
    return at;
  }

  #readRest(chunk: Buffer, from: number, end: number): number {
    const eol = this.#lineBreak(chunk, from, end);
    if (this.#line === Line.Data) this.#readData(chunk, from, eol);
    return eol < end ? this.#lineEnded(chunk, eol) : end;
  }

  #readData(chunk: Buffer, from: number, end: number): void {
    const document = this.#document;
    const at = document.isFresh ? this.#learned.begin(document, chunk, from, end) : from;
    document.feed(chunk, at, end);
  }

  /** Index of the next LF or CR, or `end`. */
  #lineBreak(chunk: Buffer, from: number, end: number): number {
    if (this.#nextCr < from) this.#nextCr = indexOr(chunk, CR, from, end);
    const lf = indexOr(chunk, LF, from, end);
    return lf < this.#nextCr ? lf : this.#nextCr;
  }

  /** @returns the index after the line break at `at`, taking the LF of a CRLF with it when it is there */
  #lineEnded(chunk: Buffer, at: number): number {
    const next = chunk[at] === CR && chunk[at + 1] === LF ? at + 2 : at + 1;
    const isBlank = this.#line === Line.Head && this.#lineHeadBytes === 0;
    this.#finishLine();
    if (isBlank) this.#finishEvent(next);
    return next;
  }

  #finishLine(): void {
    if (this.#line === Line.Head && this.#lineHeadBytes > 0) {
      if (ERROR_LINES.has(this.#lineHead.toString('latin1', 0, this.#lineHeadBytes))) this.#failed = true;
    }
    this.#line = Line.Head;
    this.#lineHeadBytes = 0;
    this.#isFirstLine = false;
  }

  #finishEvent(at: number): void {
    const document = this.#document;
    if (document.usage !== null) this.#reported = mergeReports(this.#reported, document.usage);
    if (document.hasError) this.#failed = true;
    if (document.hasEndMark || document.isDoneMark) this.#ended = true;
    this.#eventEnded?.(at);
    this.#hasData = false;
    document.reset();
  }
}

function indexOr(chunk: Buffer, byte: number, from: number, otherwise: number): number {
  const found = chunk.indexOf(byte, from);
  return found < 0 ? otherwise : found;
}
