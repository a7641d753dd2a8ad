/** One usage event as a row. Guarantee: every value fits its column, so that one odd request cannot hold up a batch. */
import type { UsageEvent } from '@llmproxy/usage-queue';

/** What the columns hold before an engine has put them in its own types. Unknown is null, never 0. */
export interface UsageRow {
  event_id: string;
  request_id: string;
  timestamp: string;
  key_id: string | null;
  api_key: string | null;
  user_id: string | null;
  model: string | null;
  method: string;
  path: string;
  endpoint: string;
  is_stream: boolean;
  backend: string | null;
  backend_url: string | null;
  status_code: number;
  outcome: string;
  latency_ms: number;
  ttft_ms: number | null;
  prompt_tokens: number | null;
  completion_tokens: number | null;
  total_tokens: number | null;
  cached_tokens: number | null;
  cache_write_tokens: number | null;
  reasoning_tokens: number | null;
  usage_source: string;
  request_body: string | null;
}

/** Widest text of each column, in characters. */
export const widths = {
  event_id: 64,
  request_id: 128,
  key_id: 64,
  api_key: 128,
  user_id: 64,
  model: 256,
  method: 10,
  path: 512,
  endpoint: 64,
  backend: 128,
  backend_url: 256,
  outcome: 32,
  usage_source: 16,
} as const;

export function usageRow(event: UsageEvent): UsageRow {
  return { ...identityColumns(event), ...exchangeColumns(event), ...tokenColumns(event) };
}

/**
 * The row with a mark in the place of its request body: `{"omitted":"too large","bytes":N}`, N the length of the body as
 * JSON in bytes. Undefined when there is none.
 */
export function withoutBody(row: UsageRow, omitted: 'too large' | 'refused'): UsageRow | undefined {
  if (row.request_body === null) return undefined;
  const mark = { omitted, bytes: Buffer.byteLength(row.request_body) };
  return { ...row, request_body: JSON.stringify(mark) };
}

function identityColumns(event: UsageEvent) {
  return {
    event_id: event.event_id,
    request_id: clip(event.request_id, widths.request_id),
    timestamp: timeOf(event),
    key_id: clipOrNull(event.key_id, widths.key_id),
    api_key: clipOrNull(event.api_key, widths.api_key),
    user_id: clipOrNull(event.user_id, widths.user_id),
    model: clipOrNull(event.model, widths.model),
  };
}

function exchangeColumns(event: UsageEvent) {
  return {
    method: clip(event.method, widths.method),
    path: clip(event.path, widths.path),
    endpoint: clip(event.endpoint, widths.endpoint),
    is_stream: event.is_stream,
    backend: clipOrNull(event.backend, widths.backend),
    backend_url: clipOrNull(event.backend_url, widths.backend_url),
    status_code: event.status_code,
    outcome: event.outcome,
    latency_ms: Math.round(event.latency_ms),
    ttft_ms: event.ttft_ms,
    request_body: event.request_body === undefined ? null : storableJson(event.request_body),
  };
}

const unknownUsage = {
  prompt_tokens: null,
  completion_tokens: null,
  total_tokens: null,
  cached_tokens: null,
  cache_write_tokens: null,
  reasoning_tokens: null,
};

function tokenColumns({ usage, usage_source }: UsageEvent) {
  if (!usage) return { ...unknownUsage, usage_source };
  const { cached_tokens = null, cache_write_tokens = null, reasoning_tokens = null } = usage;
  const { prompt_tokens, completion_tokens, total_tokens } = usage;
  return {
    prompt_tokens,
    completion_tokens,
    total_tokens,
    cached_tokens,
    cache_write_tokens,
    reasoning_tokens,
    usage_source,
  };
}

/** @throws RangeError: a row without a time would be in no sum */
function timeOf({ timestamp }: UsageEvent): string {
  if (Number.isNaN(Date.parse(timestamp))) throw new RangeError('the timestamp of the event is no time');
  return timestamp;
}

const clipOrNull = (text: string | null | undefined, charactersMax: number) =>
  text === null || text === undefined ? null : clip(text, charactersMax);

/** At most `charactersMax` characters, none of which PostgreSQL refuses: NUL and lone surrogates become U+FFFD. */
function clip(text: string, charactersMax: number): string {
  const storable = text.toWellFormed().replaceAll('\0', '\ufffd');
  return storable.length <= charactersMax ? storable : [...storable].slice(0, charactersMax).join('');
}

// In JSON text, NUL and lone surrogates always stand as \u escapes; jsonb refuses both. The look-behind makes sure that
// the backslash is not itself escaped.
const unstorableEscape = /(?<=(?:^|[^\\])(?:\\\\)*)\\u(?:0000|d[89a-f][0-9a-f]{2})/g;

function storableJson(value: unknown): string {
  return JSON.stringify(value).replace(unstorableEscape, '\\ufffd');
}
