/**
 * Lua patterns with a bound on the work of one match: `string.find(("a"):rep(30), ("a*"):rep(15) .. "b")` would otherwise run for hours.
 * The algorithm is that of the reference implementation, which backtracks; every comparison is a step.
 */
import { inClass } from './character-class.ts';

type Bytes = Uint8Array;

/** Most steps of one match from one starting position: one or two milliseconds. */
export const STEPS_MAX = 100_000;
const DEPTH_MAX = 200;
const CAPTURES_MAX = 32;

const UNFINISHED = -1;
/** Length of a capture that stands for its position: `()`. */
export const POSITION = -2;
const NO_MATCH = -1;

const [ESCAPE, OPEN, CLOSE, BRACKET, BRACKET_END] = [37, 40, 41, 91, 93];
const [CARET, DOLLAR, DOT, DASH, STAR, PLUS, QUESTION] = [94, 36, 46, 45, 42, 43, 63];
const [ZERO, BALANCE, FRONTIER] = [48, 98, 102];

export interface Capture {
  /** Offset of its first byte. */
  start: number;
  /** Bytes, or `POSITION`. */
  length: number;
}

/** What the matcher cannot decide: both end the match by throwing. */
export interface MatchErrors {
  malformed(message: string): never;
  tooLong(): never;
}

/** A pattern at work on one subject. */
export class Matcher {
  readonly subject: Bytes;
  readonly captures: Capture[] = [];
  /** Number of captures of the last match. */
  level = 0;
  /** Steps since the caller last set it to 0. */
  steps = 0;

  readonly #pattern: Bytes;
  readonly #errors: MatchErrors;
  #depth = 0;

  /** @param pattern without its anchor `^` */
  constructor(subject: Bytes, pattern: Bytes, errors: MatchErrors) {
    this.subject = subject;
    this.#pattern = pattern;
    this.#errors = errors;
  }

  /** The offset after the match that starts at `start`, or -1. Its captures are in `captures` up to `level`. */
  matchAt(start: number): number {
    this.level = 0;
    this.#depth = 0;
    this.steps = 0;
    return this.#match(start, 0);
  }

  #at(p: number): number {
    return this.#pattern[p] ?? -1;
  }

  #step(steps: number): void {
    this.steps += steps;
    if (this.steps > STEPS_MAX) this.#errors.tooLong();
  }

  #match(s: number, p: number): number {
    if (++this.#depth > DEPTH_MAX) this.#errors.malformed('pattern too complex');
    const end = this.#run(s, p);
    this.#depth--;
    return end;
  }

  /** Follows the pattern as long as there is only one way to go on. */
  #run(start: number, begin: number): number {
    let [s, p] = [start, begin];
    while (p < this.#pattern.length) {
      this.#step(1);
      const decided = this.#captureOrEnd(s, p);
      if (decided !== undefined) return decided;
      const special = this.#at(p) === ESCAPE ? this.#special(s, p) : undefined;
      if (special !== undefined) {
        if (special === NO_MATCH) return NO_MATCH;
        s = special;
        p = this.#afterSpecial(p);
        continue;
      }
      const ep = this.#itemEnd(p);
      const repeated = this.#repeated(s, p, ep);
      if (repeated !== undefined) return repeated;
      if (this.#at(ep) === QUESTION) {
        p = ep + 1;
      } else {
        if (!this.#fits(s, p, ep)) return NO_MATCH;
        s++;
        p = ep;
      }
    }
    return s;
  }

  /** The end of the match when a capture or the end of the subject comes next in the pattern; else undefined. */
  #captureOrEnd(s: number, p: number): number | undefined {
    const c = this.#at(p);
    if (c === OPEN) return this.#openCapture(s, p);
    if (c === CLOSE) return this.#closeCapture(s, p + 1);
    if (c === DOLLAR && p + 1 === this.#pattern.length) return s === this.subject.length ? s : NO_MATCH;
    return undefined;
  }

  /** The end of the match when the item has a suffix that decides; undefined when there is none, or an optional item is left out. */
  #repeated(s: number, p: number, ep: number): number | undefined {
    const suffix = this.#at(ep);
    if (suffix === STAR) return this.#longestFirst(s, p, ep);
    if (suffix === DASH) return this.#shortestFirst(s, p, ep);
    if (suffix === PLUS) return this.#fits(s, p, ep) ? this.#longestFirst(s + 1, p, ep) : NO_MATCH;
    if (suffix !== QUESTION || !this.#fits(s, p, ep)) return undefined;
    const end = this.#match(s + 1, ep + 1);
    return end === NO_MATCH ? undefined : end;
  }

  /** `%b`, `%f`, `%1`: the offset after it or -1; undefined when the escape is a plain class. */
  #special(s: number, p: number): number | undefined {
    const c = this.#at(p + 1);
    if (c === BALANCE) return this.#balance(s, p + 2);
    if (c === FRONTIER) return this.#frontier(s, p + 2);
    if (c >= ZERO && c <= ZERO + 9) return this.#sameAsCapture(s, c - ZERO - 1);
    return undefined;
  }

  #afterSpecial(p: number): number {
    const c = this.#at(p + 1);
    if (c === BALANCE) return p + 4;
    return c === FRONTIER ? this.#itemEnd(p + 2) : p + 2;
  }

  #balance(start: number, p: number): number {
    if (p + 1 >= this.#pattern.length)
      this.#errors.malformed("malformed pattern (missing arguments to '%b')");
    const [open, close] = [this.#at(p), this.#at(p + 1)];
    if (this.subject[start] !== open) return NO_MATCH;
    let nested = 1;
    for (let s = start + 1; s < this.subject.length; s++) {
      if ((s & 15) === 0) this.#step(1);
      if (this.subject[s] === close) {
        if (--nested === 0) return s + 1;
      } else if (this.subject[s] === open) nested++;
    }
    return NO_MATCH;
  }

  #frontier(s: number, p: number): number {
    if (this.#at(p) !== BRACKET) this.#errors.malformed("missing '[' after '%f' in pattern");
    const ep = this.#itemEnd(p);
    const previous = s === 0 ? 0 : (this.subject[s - 1] as number);
    const next = this.subject[s] ?? 0;
    return !this.#inSet(previous, p, ep - 1) && this.#inSet(next, p, ep - 1) ? s : NO_MATCH;
  }

  #sameAsCapture(s: number, index: number): number {
    const capture = this.captures[index];
    if (index < 0 || index >= this.level || capture === undefined || capture.length === UNFINISHED) {
      return this.#errors.malformed(`invalid capture index %${index + 1}`);
    }
    const { start, length } = capture;
    if (this.subject.length - s < length) return NO_MATCH;
    for (let i = 0; i < length; i++) {
      if ((i & 15) === 15) this.#step(1);
      if (this.subject[start + i] !== this.subject[s + i]) return NO_MATCH;
    }
    return s + Math.max(0, length);
  }

  #longestFirst(s: number, p: number, ep: number): number {
    let count = 0;
    while (this.#fits(s + count, p, ep)) count++;
    for (; count >= 0; count--) {
      const end = this.#match(s + count, ep + 1);
      if (end !== NO_MATCH) return end;
    }
    return NO_MATCH;
  }

  #shortestFirst(start: number, p: number, ep: number): number {
    for (let s = start; ; s++) {
      const end = this.#match(s, ep + 1);
      if (end !== NO_MATCH) return end;
      if (!this.#fits(s, p, ep)) return NO_MATCH;
    }
  }

  #openCapture(s: number, p: number): number {
    const isPosition = this.#at(p + 1) === CLOSE;
    if (this.level >= CAPTURES_MAX) this.#errors.malformed('too many captures');
    this.captures[this.level++] = { start: s, length: isPosition ? POSITION : UNFINISHED };
    const end = this.#match(s, isPosition ? p + 2 : p + 1);
    if (end === NO_MATCH) this.level--;
    return end;
  }

  #closeCapture(s: number, p: number): number {
    let index = this.level - 1;
    while (index >= 0 && this.captures[index]?.length !== UNFINISHED) index--;
    const capture = this.captures[index];
    if (capture === undefined) return this.#errors.malformed('invalid pattern capture');
    capture.length = s - capture.start;
    const end = this.#match(s, p);
    if (end === NO_MATCH) capture.length = UNFINISHED;
    return end;
  }

  /** Offset after the item (a character, a class or a set) at `p`. */
  #itemEnd(p: number): number {
    const c = this.#at(p);
    if (c === ESCAPE) {
      if (p + 1 >= this.#pattern.length) this.#errors.malformed("malformed pattern (ends with '%')");
      return p + 2;
    }
    if (c !== BRACKET) return p + 1;
    let q = p + 1;
    if (this.#at(q) === CARET) q++;
    do {
      if (q >= this.#pattern.length) this.#errors.malformed("malformed pattern (missing ']')");
      q += this.#at(q) === ESCAPE ? 2 : 1;
    } while (this.#at(q) !== BRACKET_END);
    this.#step((q - p) >> 3);
    return q + 1;
  }

  /** Does the byte at `s` fit the item between `p` and `ep`? */
  #fits(s: number, p: number, ep: number): boolean {
    if (s >= this.subject.length) return false;
    this.#step(1);
    const c = this.subject[s] as number;
    const item = this.#at(p);
    if (item === DOT) return true;
    if (item === ESCAPE) return inClass(c, this.#at(p + 1));
    return item === BRACKET ? this.#inSet(c, p, ep - 1) : item === c;
  }

  /** Is `c` in the set that opens at `p` and whose `]` is at `end`? */
  #inSet(c: number, p: number, end: number): boolean {
    this.#step((end - p) >> 3);
    const negated = this.#at(p + 1) === CARET;
    for (let q = p + (negated ? 2 : 1); q < end; q++) {
      if (this.#at(q) === ESCAPE) {
        if (inClass(c, this.#at(++q))) return !negated;
      } else if (this.#at(q + 1) === DASH && q + 2 < end) {
        if (this.#at(q) <= c && c <= this.#at(q + 2)) return !negated;
        q += 2;
      } else if (this.#at(q) === c) return !negated;
    }
    return negated;
  }
}
