import type { ProbeOutcome } from '@llmproxy/health';
import type { SweepEvents } from '@llmproxy/quota-reset';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Registers the series about probes; the returned function counts one. */
export function probeMetrics(registry: Registry): (outcome: ProbeOutcome) => void {
  const registers = [registry];
  const probes = new Counter({
    name: 'llmproxy_health_probes_total',
    help: 'Health probes by backend and result: success or failure.',
    labelNames: ['backend', 'result'],
    registers,
  });
  const seconds = new Histogram({
    name: 'llmproxy_health_probe_seconds',
    help: 'Time until a backend answered a health probe, or failed it.',
    labelNames: ['backend'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  return ({ backend, ok, seconds: took }) => {
    probes.inc({ backend, result: ok ? 'success' : 'failure' });
    seconds.observe({ backend }, took);
  };
}

/** Registers the series about limits, and counts what sweeps do. */
export function limitMetrics(registry: Registry): SweepEvents {
  const registers = [registry];
  const reaped = new Counter({
    name: 'llmproxy_leases_reaped_total',
    help: 'Leases of requests that expired because their gateway was gone; what they held was given back.',
    registers,
  });
  const resets = new Counter({
    name: 'llmproxy_quota_resets_total',
    help: 'Quotas that were reset because their period had passed.',
    registers,
  });
  return { onReaped: (leases) => reaped.inc(leases), onReset: () => resets.inc() };
}

/** Registers the series about keys of the built-in store; `onRestored` counts keys. */
export function keyMetrics(registry: Registry, inDoubt: () => number): { onRestored(keys: number): void } {
  const registers = [registry];
  const restored = new Counter({
    name: 'llmproxy_keys_restored_total',
    help: 'Keys of the built-in store that Redis had lost and the scheduler put back.',
    registers,
  });
  new Gauge({
    name: 'llmproxy_keys_in_doubt',
    help: 'Keys that are missing from Redis and not put back: they may have been removed or disabled before.',
    aggregator: 'max',
    registers,
    collect() {
      this.set(inDoubt());
    },
  });
  return { onRestored: (keys) => restored.inc(keys) };
}
