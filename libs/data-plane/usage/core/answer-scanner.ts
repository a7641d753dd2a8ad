/** The one thing the relay puts beside the bytes of an answer. */
import type { AnswerResult } from './answer-result.ts';
import { JsonUsageScanner } from './json-usage-scanner.ts';
import { SseUsageScanner } from './sse-usage-scanner.ts';
import { UsageChunkFilter } from './usage-chunk-filter.ts';

/** Reads an answer as it passes. Bounded memory; no call throws, whatever the bytes are. */
export interface AnswerScanner {
  /** Takes the next bytes of the backend and returns those for the client, in order, possibly none. */
  push(chunk: Buffer): readonly Buffer[];
  /** Call once when the backend has no more bytes, cleanly or not; returns what was still held back. */
  end(): readonly Buffer[];
  /** What is known so far; complete after `end`. */
  result(): AnswerResult;
}

export interface AnswerKind {
  /** The answer's `content-type`. */
  readonly contentType: string | undefined;
  /** The answer's `content-encoding`: compressed bytes pass unread. */
  readonly contentEncoding?: string | undefined;
  /** Whether to take out the usage chunk of a stream, because `askForUsage` asked for it and not the client. */
  readonly hideUsageChunk: boolean;
}

/** Chooses by the answer's head: server-sent events, JSON, or bytes that pass unread. */
export function createAnswerScanner(kind: AnswerKind): AnswerScanner {
  if (isEncoded(kind.contentEncoding)) return UNREAD;
  const mediaType = (kind.contentType ?? '').split(';', 1).join('').trim().toLowerCase();
  if (mediaType === 'text/event-stream') {
    return kind.hideUsageChunk ? new UsageChunkFilter() : beside(new SseUsageScanner());
  }
  const isJson = mediaType === 'application/json' || mediaType.endsWith('+json');
  return isJson ? beside(new JsonUsageScanner()) : UNREAD;
}

function isEncoded(contentEncoding = 'identity'): boolean {
  return !['', 'identity'].includes(contentEncoding.trim().toLowerCase());
}

/** Lets the bytes pass and shows them to `scanner`. */
function beside(scanner: JsonUsageScanner | SseUsageScanner): AnswerScanner {
  return {
    push(chunk) {
      scanner.push(chunk);
      return [chunk];
    },
    end() {
      scanner.end();
      return [];
    },
    result: () => scanner.result(),
  };
}

const UNREAD: AnswerScanner = {
  push: (chunk) => [chunk],
  end: () => [],
  result: () => ({ usage: null, ended: null, failed: false }),
};
