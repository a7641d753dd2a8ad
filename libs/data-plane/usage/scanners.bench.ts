/**
 * CPU-µs per call of the scanners beside JSON.parse of the same bytes, best and median of several runs.
 * Run alone on a quiet machine: `node libs/data-plane/usage/scanners.bench.ts`.
 */
import {
  JsonUsageScanner,
  SseUsageScanner,
  UsageChunkFilter,
  askForUsage,
  scanRequest,
  type RequestScan,
} from './index.ts';

const RUNS = 15;
const CALLS_PER_RUN_MS = 40;

/** Keeps results alive, so that no call is optimised away. */
let sink: unknown;

function runs(call: (i: number) => unknown): number[] {
  const timed = (calls: number): number => {
    const before = process.threadCpuUsage();
    for (let i = 0; i < calls; i++) sink = call(i);
    const { user, system } = process.threadCpuUsage(before);
    return (user + system) / calls;
  };
  const calls = Math.ceil((CALLS_PER_RUN_MS * 1000) / Math.max(timed(2000), 0.05));
  return Array.from({ length: RUNS }, () => timed(calls)).sort((a, b) => a - b);
}

function report(name: string, call: (i: number) => unknown, parse?: (i: number) => unknown): void {
  const show = (times: readonly number[]): string =>
    `${(times[0] ?? 0).toFixed(2).padStart(8)} ${(times[RUNS >> 1] ?? 0).toFixed(2).padStart(8)}`;
  const compared = parse === undefined ? '' : show(runs(parse));
  console.log(`${name.padEnd(44)} ${show(runs(call))}   ${compared}`);
}

const text = (bytes: number): string =>
  'lorem ipsum dolor sit amet, '.repeat(Math.ceil(bytes / 28)).slice(0, bytes);

function request(bytes: number): Buffer {
  const [head, tail] = [
    '{"model":"gpt-4o-mini","messages":[{"role":"system","content":"You are a helpful assistant."},{"role":"user","content":"',
    '"}],"temperature":0.7,"stream":true,"max_tokens":256}',
  ];
  return Buffer.from(head + text(bytes - head.length - tail.length) + tail);
}

const WORDS = [' hello', ' the', ' quick brown', ' fox', ' jumps, over', ' 42'];
const streamOf = (event: (word: string) => string): Buffer[] =>
  WORDS.map((word) => Buffer.from(`${event(word)}\n\n`));
const chatEvent = (word: string, more = ''): string =>
  `data: {"id":"chatcmpl-abc123456789","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"${word}"},"logprobs":null,"finish_reason":null}]${more}}`;
const next = (events: readonly Buffer[], i: number): Buffer => events[i % events.length] as Buffer;

console.log(`${''.padEnd(44)}     best   median   JSON.parse: best, median`);

for (const bytes of [1024, 8192, 262_144]) {
  const body = request(bytes);
  report(
    `scanRequest, ${bytes} B`,
    () => scanRequest(body),
    () => JSON.parse(body.toString()),
  );
  const scan = scanRequest(body) as RequestScan;
  report(`askForUsage, ${bytes} B`, () => askForUsage(body, scan));
}

const answer = (content: string): Buffer =>
  Buffer.from(
    `{"id":"chatcmpl-abc123456789","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"${content}","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":0}},"system_fingerprint":"fp_abcdef"}`,
  );
for (const body of [answer(text(240)), answer(text(8000))]) {
  report(
    `JsonUsageScanner, new to result, ${body.length} B`,
    () => {
      const scanner = new JsonUsageScanner();
      scanner.push(body);
      return scanner.result();
    },
    () => JSON.parse(body.toString()),
  );
}

const chat = streamOf(chatEvent);
const continuous = streamOf((word) =>
  chatEvent(word, ',"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29}'),
);
const anthropic = streamOf(
  (word) =>
    `event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"${word}"}}`,
);
const parseEvent = (events: readonly Buffer[]) => (i: number) => {
  const event = next(events, i);
  return JSON.parse(event.toString('utf8', event.indexOf('{'), event.length - 2));
};
for (const [name, events] of Object.entries({ chat, continuous, anthropic })) {
  const scanner = new SseUsageScanner();
  report(
    `SseUsageScanner, ${name} event of ${events[0]?.length} B`,
    (i) => scanner.push(next(events, i)),
    parseEvent(events),
  );
}
const filter = new UsageChunkFilter();
report(`UsageChunkFilter, chat event of ${chat[0]?.length} B`, (i) => filter.push(next(chat, i)));
if (sink === chat) console.log();
