/** The counters of processes that are gone: without them a restart would make the sums fall. */
import { AggregatorRegistry } from 'prom-client';
import type { MetricsSnapshot } from '@llmproxy/telemetry';

/** Keeps the sum of what departed processes counted, however many have departed. */
export class DepartedCounters {
  #sum: Promise<MetricsSnapshot | undefined> = Promise.resolve(undefined);

  /** Adds the last snapshot of a process. What its gauges said is no longer so, its counters stay true. */
  add(last: MetricsSnapshot): void {
    const counted = last.filter((metric) => String(metric.type) !== 'gauge');
    this.#sum = this.#sum.then((sum) => (sum ? added([sum, counted]) : counted));
  }

  /** Resolves with one snapshot, or with none when nobody has departed. */
  async snapshots(): Promise<MetricsSnapshot[]> {
    const sum = await this.#sum;
    return sum ? [sum] : [];
  }
}

function added(snapshots: MetricsSnapshot[]): Promise<MetricsSnapshot> {
  return AggregatorRegistry.aggregate(snapshots).getMetricsAsJSON() as unknown as Promise<MetricsSnapshot>;
}
