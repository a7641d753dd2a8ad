import { AggregatorRegistry, type MetricObjectWithValues, type MetricValue } from 'prom-client';

/** What `registry.getMetricsAsJSON()` gives: all series of one process at one moment. */
export type MetricsSnapshot = MetricObjectWithValues<MetricValue<string>>[];

/** Adds up the series of several processes (each gauge by its own rule) and renders them as Prometheus text. */
export async function mergeMetrics(snapshots: readonly MetricsSnapshot[]): Promise<string> {
  if (snapshots.length === 0) return '';
  return AggregatorRegistry.aggregate([...snapshots]).metrics();
}
