/** The data plane's metrics. Names and labels documented for earlier systems stay as they were documented. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { errorTable, type ErrorCode } from '@llmproxy/errors';
import type { Relayed } from '@llmproxy/forwarding';
import type { PooledBackend } from './backends.ts';
import type { Settled } from './pipeline.ts';

export interface GatewayMetrics {
  started(): void;
  finished(): void;
  settled(settled: Settled, latencyMs: number, ttftMs: number | null): void;
  refused(relayed: Relayed): void;
  badRequest(code: ErrorCode): void;
}

export interface GatewayMetricsOptions {
  registry: Registry;
  latencyBucketsMs: readonly number[];
  backends: readonly PooledBackend[];
  isAvailable(backend: PooledBackend): boolean;
  pendingEvents(): number;
}

export function createGatewayMetrics(options: GatewayMetricsOptions): GatewayMetrics {
  const registers = [options.registry];
  const labels = ['path', 'stream', 'backend'] as const;
  const requests = new Counter({
    name: 'llmproxy_requests_total',
    help: 'Requests that were admitted, by path, stream, backend URL and status.',
    labelNames: [...labels, 'status'],
    registers,
  });
  const latency = new Histogram({
    name: 'llmproxy_latency_ms',
    help: 'From the request head to the last byte of the answer, in milliseconds.',
    labelNames: labels,
    buckets: [...options.latencyBucketsMs],
    registers,
  });
  const ttft = new Histogram({
    name: 'llmproxy_ttft_seconds',
    help: 'From the request head to the first byte of a streamed answer, in seconds.',
    labelNames: ['path', 'backend'],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  });
  const tokens = new Counter({
    name: 'llmproxy_usage_tokens_total',
    help: 'Tokens the backends reported, by type: prompt or completion.',
    labelNames: ['type'],
    registers,
  });
  const outcomes = new Counter({
    name: 'llmproxy_outcomes_total',
    help: 'Every finished request by how it ended; `refused` ones never reached a backend.',
    labelNames: ['outcome'],
    registers,
  });
  const errors = new Counter({
    name: 'llmproxy_errors_total',
    help: 'Errors of the gateway itself, by code and by who has to act.',
    labelNames: ['code', 'blame'],
    registers,
  });
  const inFlight = new Gauge({
    name: 'llmproxy_in_flight_requests',
    help: 'Requests being served now.',
    registers,
  });
  registerPolledGauges(options);
  const failed = (code: ErrorCode) => errors.inc({ code, blame: errorTable[code].blame });
  return {
    started: () => inFlight.inc(),
    finished: () => inFlight.dec(),
    settled({ route, ask, backend, relayed, usage }, latencyMs, ttftMs) {
      const path = route.pathLabel;
      const stream = ask.stream ? 'true' : 'false';
      const url = backend?.url ?? '';
      requests.inc({ path, stream, backend: url, status: relayed.status });
      latency.observe({ path, stream, backend: url }, latencyMs);
      if (ask.stream && ttftMs !== null) ttft.observe({ path, backend: url }, ttftMs / 1000);
      if (usage) {
        tokens.inc({ type: 'prompt' }, usage.prompt_tokens);
        tokens.inc({ type: 'completion' }, usage.completion_tokens);
      }
      outcomes.inc({ outcome: relayed.outcome });
      if (relayed.error) failed(relayed.error.code);
    },
    refused(relayed) {
      outcomes.inc({ outcome: relayed.outcome === 'client_closed' ? 'client_closed' : 'refused' });
      if (relayed.error) failed(relayed.error.code);
    },
    badRequest: failed,
  };
}

function registerPolledGauges({ registry, backends, isAvailable, pendingEvents }: GatewayMetricsOptions): void {
  new Gauge({
    name: 'llmproxy_backend_up',
    help: '1 when the backend is used, 0 while its health checks fail, as the most pessimistic worker sees it.',
    labelNames: ['backend'],
    aggregator: 'min',
    registers: [registry],
    collect() {
      for (const backend of backends) this.set({ backend: backend.url }, isAvailable(backend) ? 1 : 0);
    },
  });
  new Gauge({
    name: 'llmproxy_usage_events_pending',
    help: 'Usage events that are finished but not yet in the queue.',
    registers: [registry],
    collect() {
      this.set(pendingEvents());
    },
  });
}
