/** One line per finished request, whatever its outcome. No header, query or body ever appears in it. */
import type { LogDestination } from '@llmproxy/telemetry';

export interface AccessEntry {
  time: string;
  request_id: string;
  client_ip: string;
  method: string;
  path: string;
  status: number;
  outcome: string;
  error: string | null;
  latency_ms: number;
  ttft_ms: number | null;
  bytes: number;
  backend: string | null;
  backend_url: string | null;
  model: string | null;
  is_stream: boolean;
  key_id: string | null;
  api_key: string | null;
  user_id: string | null;
  /** Limits in shadow mode that would have refused the request: `key:requests_per_minute,…`. */
  shadow_refused: string | null;
  prompt_tokens: number | null;
  completion_tokens: number | null;
}

export type AccessLog = (entry: AccessEntry) => void;

/** `json`: the entry as one object. `combined`: the documented text line. */
export function createAccessLog(destination: LogDestination, format: 'json' | 'combined'): AccessLog {
  if (format === 'combined') return (entry) => destination.write(`${combined(entry)}\n`);
  return (entry) => destination.write(json(entry));
}

/** What JSON.stringify would give, field by field: half its cost, on the path of every request. */
function json(entry: AccessEntry): string {
  return (
    `{"level":"info","app":"gateway","msg":"request","time":"${entry.time}","request_id":"${entry.request_id}",` +
    `"client_ip":"${entry.client_ip}","method":"${entry.method}","path":${JSON.stringify(entry.path)},` +
    `"status":${entry.status},"outcome":"${entry.outcome}","error":${text(entry.error)},` +
    `"latency_ms":${entry.latency_ms},"ttft_ms":${entry.ttft_ms},"bytes":${entry.bytes},` +
    `"backend":${text(entry.backend)},"backend_url":${text(entry.backend_url)},"model":${text(entry.model)},` +
    `"is_stream":${entry.is_stream},"key_id":${text(entry.key_id)},"api_key":${text(entry.api_key)},` +
    `"user_id":${text(entry.user_id)},"shadow_refused":${text(entry.shadow_refused)},"prompt_tokens":${entry.prompt_tokens},` +
    `"completion_tokens":${entry.completion_tokens}}\n`
  );
}

const known = new Map<string, string>();
const knownMax = 512;
const lengthMax = 256;

/** Names of backends, models and keys come again and again: looking one up costs a fifth of quoting it. */
function text(value: string | null): string {
  if (value === null) return 'null';
  const before = known.get(value);
  if (before !== undefined) return before;
  const quotedValue = JSON.stringify(value);
  if (known.size < knownMax && value.length < lengthMax) known.set(value, quotedValue); // a client chooses the model
  return quotedValue;
}

function combined(entry: AccessEntry): string {
  const line =
    `${entry.client_ip} - ${quoted(entry.user_id ?? '-')} [${clfTime(entry.time)}] ` +
    `"${quoted(entry.method)} ${quoted(entry.path)}" ` +
    `${entry.status} ${Math.round(entry.latency_ms)}ms "${entry.backend_url ?? '-'}" ` +
    `model=${unspaced(entry.model ?? '-')} stream=${entry.is_stream}`;
  return entry.error === null ? line : `${line} error="${entry.error}"`;
}

// A client chooses path and model: neither may forge a second line, end its quotes, or move the cursor of a terminal.
const quoted = (text: string): string => JSON.stringify(text).slice(1, -1).replace(beyondJson, escaped);

/** For a field without quotes around it: a blank would end it. */
const unspaced = (text: string): string => quoted(text).replace(/\s/g, escaped);

/** DEL and the C1 controls, and the separators that some readers of logs take for the end of a line. */
const beyondJson = /[\x7f-\x9f\u2028\u2029]/g;

const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

function clfTime(iso: string): string {
  const [year, month, day] = iso.slice(0, 10).split('-');
  return `${day}/${months[Number(month) - 1]}/${year}:${iso.slice(11, 19)} +0000`;
}
