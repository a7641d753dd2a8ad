/** What is written down of a finished request: metrics, the access line, and the usage event of an admitted one. */
import { randomUUID } from 'node:crypto';
import type { UsageEvent } from '@llmproxy/usage-queue';
import { pathOf } from '@llmproxy/routing';
import type { AccessLog } from './access-log.ts';
import type { GatewayMetrics } from './gateway-metrics.ts';
import type { HttpInbound } from './http-inbound.ts';
import type { Settled } from './pipeline.ts';
import type { Finished } from './server.ts';

export interface RecordOptions {
  metrics: GatewayMetrics;
  /** Undefined when the access log is off. */
  accessLog: AccessLog | undefined;
  /** Undefined when usage reporting is off. */
  pushEvent: ((event: UsageEvent) => void) | undefined;
  includeRequestBody: boolean;
  /** Called with the cause of every failure that is not the client's. */
  logFailure(requestId: string, error: Error): void;
}

/** Fractions of a millisecond beyond the third digit are noise. */
const rounded = (ms: number): number => Math.round(ms * 1000) / 1000;

export function createRecord(options: RecordOptions): (finished: Finished) => void {
  return (finished) => {
    const { inbound } = finished;
    const latencyMs = rounded(performance.now() - inbound.startedMs);
    const time = new Date().toISOString();
    const relayed = finished.kind === 'settled' ? finished.settled.relayed : finished.relayed;
    if (relayed.error && relayed.error.row.blame !== 'client') options.logFailure(inbound.requestId, relayed.error);
    if (finished.kind === 'refused') {
      options.metrics.refused(relayed);
      options.accessLog?.({ ...accessBase(inbound, time, latencyMs), ...relayedFields(finished) });
      return;
    }
    const { settled } = finished;
    const ttftMs = relayed.firstByteMs === null ? null : rounded(relayed.firstByteMs - inbound.startedMs);
    options.metrics.settled(settled, latencyMs, ttftMs);
    options.accessLog?.({ ...accessBase(inbound, time, latencyMs), ...settledFields(settled, ttftMs) });
    if (settled.route.kind === 'forward') {
      options.pushEvent?.(usageEvent(inbound, settled, { time, latencyMs, ttftMs }, options.includeRequestBody));
    }
  };
}

function accessBase(inbound: HttpInbound, time: string, latencyMs: number) {
  return {
    time,
    request_id: inbound.requestId,
    client_ip: inbound.peerAddress,
    method: inbound.method,
    path: pathOf(inbound.target),
    latency_ms: latencyMs,
  };
}

function relayedFields({ relayed }: Extract<Finished, { kind: 'refused' }>) {
  return {
    status: relayed.status,
    outcome: relayed.outcome === 'client_closed' ? 'client_closed' : 'refused',
    error: relayed.error?.code ?? null,
    ttft_ms: null,
    bytes: relayed.bytes,
    backend: null,
    backend_url: null,
    model: null,
    is_stream: false,
    key_id: null,
    api_key: null,
    user_id: null,
    prompt_tokens: null,
    completion_tokens: null,
  };
}

function settledFields({ relayed, backend, ask, caller, usage }: Settled, ttftMs: number | null) {
  return {
    status: relayed.status,
    outcome: relayed.outcome,
    error: relayed.error?.code ?? null,
    ttft_ms: ttftMs,
    bytes: relayed.bytes,
    backend: backend?.name ?? null,
    backend_url: backend?.url ?? null,
    model: ask.model,
    is_stream: ask.stream,
    key_id: caller.keyId,
    api_key: caller.maskedKey,
    user_id: caller.userId,
    prompt_tokens: usage?.prompt_tokens ?? null,
    completion_tokens: usage?.completion_tokens ?? null,
  };
}

function usageEvent(
  inbound: HttpInbound,
  { route, caller, ask, backend, relayed, usage }: Settled,
  times: { time: string; latencyMs: number; ttftMs: number | null },
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
    ...(includeRequestBody && ask.isJson ? { request_body: parsedOrText(ask.body) } : {}),
  };
}

/** The scan that admitted the body looks no deeper than it must: what is no JSON further down stays text. */
function parsedOrText(body: Buffer): unknown {
  const text = body.toString('utf8');
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
