/** What did it cost: the fields of a request we act on, and the usage an answer reports, read from passing bytes. */
export { scanRequest, type MalformedRequest, type RequestScan } from './core/request-scan.ts';
export { askForUsage } from './core/ask-for-usage.ts';
export { createAnswerScanner, type AnswerKind, type AnswerScanner } from './core/answer-scanner.ts';
export { type AnswerResult } from './core/answer-result.ts';
export { JsonUsageScanner } from './core/json-usage-scanner.ts';
export { SseUsageScanner } from './core/sse-usage-scanner.ts';
export { UsageChunkFilter } from './core/usage-chunk-filter.ts';
