import { Counter, Histogram, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { counterFamily, histogramFamily } from './cells.ts';
import { mergeMetrics, type MetricsSnapshot } from './merge-metrics.ts';

test('a scrape shows the same text as prom-client itself would', async () => {
  const [ours, theirs] = [new Registry(), new Registry()];
  const counter = counterFamily({ name: 'c_total', help: 'c', registry: ours });
  const histogram = histogramFamily({ name: 'h', help: 'h', registry: ours, buckets: [1, 2] });
  const theirCounter = new Counter({ name: 'c_total', help: 'c', labelNames: ['a'], registers: [theirs] });
  const theirHistogram = new Histogram({
    name: 'h',
    help: 'h',
    labelNames: ['a'],
    buckets: [1, 2],
    registers: [theirs],
  });
  for (const a of ['x', 'y"\n']) {
    counter.cell({ a }).value += 3;
    theirCounter.inc({ a }, 3);
    for (const value of [0.5, 1, 1.5, 7]) {
      histogram.cell({ a }).observe(value);
      theirHistogram.observe({ a }, value);
    }
  }
  expect(await ours.metrics()).toBe(await theirs.metrics());
});

test('cells of several processes add up', async () => {
  const snapshots = await Promise.all(
    [2, 5].map(async (count) => {
      const registry = new Registry();
      counterFamily({ name: 'c_total', help: 'c', registry }).cell({ a: 'x' }).value += count;
      histogramFamily({ name: 'h', help: 'h', registry, buckets: [1] })
        .cell({})
        .observe(count);
      return (await registry.getMetricsAsJSON()) as MetricsSnapshot;
    }),
  );
  const text = await mergeMetrics(snapshots);
  expect(text).toContain('c_total{a="x"} 7');
  expect(text).toContain('h_bucket{le="+Inf"} 2');
  expect(text).toContain('h_sum 7');
});
