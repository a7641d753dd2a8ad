/** The data plane's metrics. Names and labels documented for earlier systems stay as they were documented. */
import { Gauge, type Registry } from 'prom-client';
import { errorTable, type ErrorCode } from '@llmproxy/errors';
import type { Relayed } from '@llmproxy/forwarding';
import type { RefusedBy } from '@llmproxy/limits';
import { counterFamily, histogramFamily, type CounterCell, type HistogramCell } from '@llmproxy/telemetry';
import type { TokenUsage } from '@llmproxy/usage-queue';
import type { PooledBackend } from './backends.ts';
import type { Settled } from './pipeline.ts';

export interface GatewayMetrics {
  started(): void;
  finished(): void;
  settled(settled: Settled, latencyMs: number, ttftMs: number | null): void;
  refused(relayed: Relayed): void;
  badRequest(code: ErrorCode): void;
  /** A request that a limit refused, or would have refused. */
  limited(by: RefusedBy, mode: 'enforce' | 'shadow'): void;
  limiterCalled(ok: boolean, tookMs: number): void;
}

export interface GatewayMetricsOptions {
  registry: Registry;
  latencyBucketsMs: readonly number[];
  backends: readonly PooledBackend[];
  isAvailable(backend: PooledBackend): boolean;
  pendingEvents(): number;
}

const ttftBucketsSeconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

const limiterBucketsSeconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25];

/** The series of one kind of request: found once, then bumped. */
interface RequestCells {
  requests: CounterCell;
  latency: HistogramCell;
  ttft: HistogramCell;
}

export function createGatewayMetrics(options: GatewayMetricsOptions): GatewayMetrics {
  const { registry } = options;
  const findCells = requestFamilies(registry, options.latencyBucketsMs);
  const countTokens = tokenFamily(registry);
  const countOutcome = outcomeFamily(registry);
  const countError = errorFamily(registry);
  let inFlight = 0;
  registerPolledGauges(options, () => inFlight);
  return {
    started: () => void inFlight++,
    finished: () => void inFlight--,
    settled(settled, latencyMs, ttftMs) {
      const { ask, relayed, usage } = settled;
      const cells = findCells(settled);
      cells.requests.value++;
      cells.latency.observe(latencyMs);
      if (ask.stream && ttftMs !== null) cells.ttft.observe(ttftMs / 1000);
      if (usage) countTokens(usage);
      countOutcome(relayed.outcome);
      if (relayed.error) countError(relayed.error.code);
    },
    refused(relayed) {
      countOutcome(relayed.outcome === 'client_closed' ? 'client_closed' : 'refused');
      if (relayed.error) countError(relayed.error.code);
    },
    badRequest: countError,
    limited: limitFamily(registry),
    limiterCalled: limiterFamilies(registry),
  };
}

function requestFamilies(registry: Registry, buckets: readonly number[]): (settled: Settled) => RequestCells {
  const requests = counterFamily({
    name: 'llmproxy_requests_total',
    help: 'Requests that were admitted, by path, stream, backend URL and status.',
    registry,
  });
  const latency = histogramFamily({
    name: 'llmproxy_latency_ms',
    help: 'From the request head to the last byte of the answer, in milliseconds.',
    registry,
    buckets,
  });
  const ttft = histogramFamily({
    name: 'llmproxy_ttft_seconds',
    help: 'From the request head to the first byte of a streamed answer, in seconds.',
    registry,
    buckets: ttftBucketsSeconds,
  });
  const known = new Map<string, RequestCells>();
  return ({ route, ask, backend, relayed }) => {
    const path = route.pathLabel;
    const stream = ask.stream ? 'true' : 'false';
    const url = backend?.url ?? '';
    const key = `${relayed.status} ${stream} ${path} ${url}`;
    let cells = known.get(key);
    if (!cells) {
      cells = {
        requests: requests.cell({ path, stream, backend: url, status: relayed.status }),
        latency: latency.cell({ path, stream, backend: url }),
        ttft: ttft.cell({ path, backend: url }),
      };
      known.set(key, cells);
    }
    return cells;
  };
}

function tokenFamily(registry: Registry): (usage: TokenUsage) => void {
  const tokens = counterFamily({
    name: 'llmproxy_usage_tokens_total',
    help: 'Tokens the backends reported, by type: prompt or completion.',
    registry,
  });
  const prompt = tokens.cell({ type: 'prompt' });
  const completion = tokens.cell({ type: 'completion' });
  return (usage) => {
    prompt.value += usage.prompt_tokens;
    completion.value += usage.completion_tokens;
  };
}

function outcomeFamily(registry: Registry): (outcome: string) => void {
  const outcomes = counterFamily({
    name: 'llmproxy_outcomes_total',
    help: 'Every finished request by how it ended; `refused` ones never reached a backend.',
    registry,
  });
  const cells = new Map<string, CounterCell>();
  return (outcome) => {
    let cell = cells.get(outcome);
    if (!cell) cells.set(outcome, (cell = outcomes.cell({ outcome })));
    cell.value++;
  };
}

function errorFamily(registry: Registry): (code: ErrorCode) => void {
  const errors = counterFamily({
    name: 'llmproxy_errors_total',
    help: 'Errors of the gateway itself, by code and by who has to act.',
    registry,
  });
  return (code) => void errors.cell({ code, blame: errorTable[code].blame }).value++;
}

function limitFamily(registry: Registry): GatewayMetrics['limited'] {
  const refusals = counterFamily({
    name: 'llmproxy_rate_limit_refusals_total',
    help: 'Requests that a limit refused or, in shadow mode, would have refused.',
    registry,
  });
  return ({ kind, limit }, mode) => void refusals.cell({ scope: kind, limit, mode }).value++;
}

function limiterFamilies(registry: Registry): GatewayMetrics['limiterCalled'] {
  const seconds = histogramFamily({
    name: 'llmproxy_limits_call_seconds',
    help: 'Time of one call to Redis about limits; each carries the requests of one turn of the event loop.',
    registry,
    buckets: limiterBucketsSeconds,
  }).cell({});
  const failures = counterFamily({
    name: 'llmproxy_limits_call_failures_total',
    help: 'Calls to Redis about limits without an answer in time; rate_limit.on_redis_failure applied.',
    registry,
  }).cell({});
  return (ok, tookMs) => {
    if (ok) seconds.observe(tookMs / 1000);
    else failures.value++;
  };
}

function registerPolledGauges(options: GatewayMetricsOptions, inFlight: () => number): void {
  const { registry, backends, isAvailable, pendingEvents } = options;
  new Gauge({
    name: 'llmproxy_in_flight_requests',
    help: 'Requests being served now.',
    registers: [registry],
    collect() {
      this.set(inFlight());
    },
  });
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
