import { AnswerDocument } from './answer-document.ts';
import { normaliseUsage } from './token-usage.ts';
import type { AnswerResult } from './answer-result.ts';

/** Reads the usage out of an answer that is one JSON document, however it is cut. Memory: at most 16 KB. */
export class JsonUsageScanner {
  readonly #document = new AnswerDocument();

  push(chunk: Buffer): void {
    this.#document.feed(chunk, 0, chunk.length);
  }

  /** Nothing is held back, so nothing is left to do. */
  end(): void {}

  result(): AnswerResult {
    const { usage, isClosed, hasError } = this.#document;
    return { usage: normaliseUsage(usage), ended: isClosed, failed: hasError };
  }
}
