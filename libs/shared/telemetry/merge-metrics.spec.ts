import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { mergeMetrics, type MetricsSnapshot } from './merge-metrics.ts';

const snapshotOf = async (fill: (registers: Registry[]) => void): Promise<MetricsSnapshot> => {
  const registry = new Registry();
  fill([registry]);
  return (await registry.getMetricsAsJSON()) as MetricsSnapshot;
};
const requests = (registers: Registry[], path: string, count: number) =>
  new Counter({ name: 'requests_total', help: 'h', labelNames: ['path'], registers }).inc({ path }, count);

test('counters of the same labels are added, others stand side by side', async () => {
  const text = await mergeMetrics([
    await snapshotOf((registers) => requests(registers, '/a', 1)),
    await snapshotOf((registers) => requests(registers, '/a', 2)),
    await snapshotOf((registers) => requests(registers, '/b', 4)),
  ]);
  expect(text).toContain('# TYPE requests_total counter');
  expect(text).toContain('requests_total{path="/a"} 3');
  expect(text).toContain('requests_total{path="/b"} 4');
});

test('buckets, sums and counts of histograms are added', async () => {
  const one = (value: number) =>
    snapshotOf((registers) =>
      new Histogram({ name: 'latency', help: 'h', buckets: [1, 2], registers }).observe(value),
    );
  const text = await mergeMetrics([await one(0.5), await one(1.5), await one(9)]);
  for (const line of [
    'latency_bucket{le="1"} 1',
    'latency_bucket{le="2"} 2',
    'latency_bucket{le="+Inf"} 3',
  ]) {
    expect(text).toContain(line);
  }
  expect(text).toContain('latency_sum 11');
  expect(text).toContain('latency_count 3');
});

test.each([
  ['sum', 5],
  ['max', 3],
  ['min', 2],
] as const)('a gauge is merged by its own rule: %s', async (aggregator, expected) => {
  const one = (value: number) =>
    snapshotOf((registers) => new Gauge({ name: 'g', help: 'h', aggregator, registers }).set(value));
  expect(await mergeMetrics([await one(3), await one(2)])).toContain(`g ${expected}`);
});

test('series that only one process has are kept', async () => {
  const text = await mergeMetrics([
    await snapshotOf((registers) => requests(registers, '/a', 1)),
    await snapshotOf((registers) => new Gauge({ name: 'only', help: 'h', registers }).set(7)),
    [],
  ]);
  expect(text).toContain('only 7');
  expect(text).toContain('requests_total{path="/a"} 1');
});

test('no process, no series', async () => {
  expect(await mergeMetrics([])).toBe('');
});
