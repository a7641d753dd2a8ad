/** What is written down of a finished request: metrics, the access line, and the usage event of an admitted one. */
import { randomUUID } from 'node:crypto';
import type { UsageEvent } from '@llmproxy/usage-queue';
import { anonymous } from '@llmproxy/auth';
import type { ErrorCode, GatewayError } from '@llmproxy/errors';
import { pathOf, type Inbound } from '@llmproxy/exchange';
import type { Relayed } from '@llmproxy/forwarding';
import type { RefusedBy } from '@llmproxy/limits';
import { isDeeperThan } from './core/nesting.ts';
import type { AccessEntry, AccessLog } from './access-log.ts';
import type { GatewayMetrics } from './gateway-metrics.ts';
import type { Settled } from './pipeline.ts';
import type { Finished } from './server.ts';

export interface RecordOptions {
  metrics: GatewayMetrics;
  /** Undefined when the access log is off. */
  accessLog: AccessLog | undefined;
  /** Undefined when usage reporting is off. */
  pushEvent: ((event: UsageEvent) => void) | undefined;
  includeRequestBody: boolean;
  /** Called with the cause of every failure that is not the client's and no part of an outage that is told once. */
  logFailure(requestId: string, error: Error): void;
}

/** The outage itself is one line; what it meant for a request is in the access log, and counted. */
const toldAsOutage: ReadonlySet<ErrorCode> = new Set(['auth_unavailable', 'limits_unavailable']);

const isWorthALine = ({ code, row }: GatewayError): boolean =>
  row.blame !== 'client' && !toldAsOutage.has(code);

let isoMs = NaN;
let isoText = '';

/** The requests of one turn of the event loop mostly end in the same millisecond. */
function isoTime(nowMs: number): string {
  if (nowMs !== isoMs) {
    isoMs = nowMs;
    isoText = new Date(nowMs).toISOString();
  }
  return isoText;
}

/** Fractions of a millisecond beyond the third digit are noise. */
const rounded = (ms: number): number => Math.round(ms * 1000) / 1000;

export function createRecord(options: RecordOptions): (finished: Finished) => void {
  const { metrics, accessLog, pushEvent } = options;
  return (finished) => {
    const { inbound } = finished;
    const settled = finished.kind === 'settled' ? finished.settled : null;
    const relayed = finished.kind === 'settled' ? finished.settled.relayed : finished.relayed;
    const times = {
      time: isoTime(Date.now()),
      latencyMs: rounded(performance.now() - inbound.startedMs),
      ttftMs: relayed.firstByteMs === null ? null : rounded(relayed.firstByteMs - inbound.startedMs),
    };
    if (relayed.error && isWorthALine(relayed.error)) options.logFailure(inbound.requestId, relayed.error);
    accessLog?.(accessEntry(inbound, relayed, settled, times));
    if (settled === null) return metrics.refused(relayed);
    metrics.settled(settled, times.latencyMs, times.ttftMs);
    // The list of models is the gateway's own answer: nobody's tokens.
    if (pushEvent && settled.route.kind === 'forward') {
      pushEvent(usageEvent(inbound, settled, times, options.includeRequestBody));
    }
  };
}

interface Times {
  time: string;
  latencyMs: number;
  ttftMs: number | null;
}

function accessEntry(
  inbound: Inbound,
  relayed: Relayed,
  settled: Settled | null,
  { time, latencyMs, ttftMs }: Times,
): AccessEntry {
  const { backend, ask, caller, usage, shadowRefusals } = settled ?? refusedAs(relayed);
  const clientIp = caller.ip === '' ? inbound.peerAddress : caller.ip;
  return {
    time,
    request_id: inbound.requestId,
    client_ip: clientIp,
    method: inbound.method,
    path: settled?.route.path ?? pathOf(inbound.target),
    status: relayed.status,
    outcome: settled === null ? refusedOutcome(relayed) : relayed.outcome,
    error: codeOf(relayed),
    latency_ms: latencyMs,
    ttft_ms: ttftMs,
    bytes: relayed.bytes,
    backend: backend && backend.name,
    backend_url: backend && backend.url,
    model: ask.model,
    is_stream: ask.stream,
    key_id: caller.keyId,
    api_key: caller.maskedKey,
    user_id: caller.userId,
    shadow_refused: spelled(shadowRefusals),
    prompt_tokens: usage && usage.prompt_tokens,
    completion_tokens: usage && usage.completion_tokens,
  };
}

const codeOf = ({ error }: Relayed) => error && error.code;

const refusedOutcome = ({ outcome }: Relayed) => (outcome === 'client_closed' ? outcome : 'refused');

/** What is known of a request that was refused: its head, and perhaps whom it concerns. */
const refusedAs = ({ error }: Relayed) => ({
  backend: null,
  ask: { model: null, stream: false },
  caller: { ...anonymous, ...error?.about },
  usage: null,
  shadowRefusals: [],
});

const spelled = (refusals: readonly RefusedBy[]): string | null =>
  refusals.length === 0 ? null : refusals.map(({ kind, limit }) => `${kind}:${limit}`).join(',');

function usageEvent(
  inbound: Inbound,
  { route, caller, ask, backend, relayed, usage }: Settled,
  times: Times,
  includeRequestBody: boolean,
): UsageEvent {
  return {
    event_id: randomUUID(),
    request_id: inbound.requestId,
    timestamp: times.time,
    key_id: caller.keyId,
    api_key: caller.maskedKey,
    user_id: caller.userId,
    model: ask.model,
    method: inbound.method,
    path: route.path,
    endpoint: route.endpoint,
    is_stream: ask.stream,
    backend: backend?.name ?? null,
    backend_url: backend?.url ?? null,
    status_code: relayed.status,
    outcome: relayed.outcome,
    latency_ms: times.latencyMs,
    ttft_ms: times.ttftMs,
    usage,
    usage_source: usage ? 'backend' : 'none',
    ...(includeRequestBody && ask.isJson ? { request_body: parsedOrText(ask.payload.bytes()) } : {}),
  };
}

/** JSON.stringify ends at some thousands, by the stack that is left: an event has to be written by others, too. */
const depthMax = 500;

/**
 * The scan that admitted the body looks no deeper than it must: what is no JSON further down stays text, and so does what
 * could be read but not be written again.
 */
function parsedOrText(body: Buffer): unknown {
  const text = body.toString('utf8');
  if (isDeeperThan(text, depthMax)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
