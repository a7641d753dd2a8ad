import { Gauge, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { counterFamily, histogramFamily, mergeMetrics, type MetricsSnapshot } from '@llmproxy/telemetry';
import { DepartedCounters } from './departed-counters.ts';

/** What one worker would send after so many requests. */
async function worker(requests: number, inFlight = requests): Promise<MetricsSnapshot> {
  const registry = new Registry();
  counterFamily({ name: 'requests_total', help: 'h', registry }).cell({ path: '/a' }).value = requests;
  const latency = histogramFamily({ name: 'latency_ms', help: 'h', registry, buckets: [1, 10] });
  for (let i = 0; i < requests; i++) latency.cell({ path: '/a' }).observe(5);
  new Gauge({ name: 'in_flight', help: 'h', registers: [registry] }).set(inFlight);
  return (await registry.getMetricsAsJSON()) as MetricsSnapshot;
}

const merged = async (departed: DepartedCounters, alive: MetricsSnapshot[]) =>
  mergeMetrics([...alive, ...(await departed.snapshots())]);

test('sums do not fall when workers go, however many and however often the sums are read', async () => {
  const departed = new DepartedCounters();
  let expected = 7;
  for (const requests of [3, 4, 5, 6]) {
    departed.add(await worker(requests));
    expected += requests;
    const text = await merged(departed, [await worker(7, 2)]);
    expect(text).toContain(`requests_total{path="/a"} ${expected}`);
    expect(text).toContain(`latency_ms_bucket{le="10",path="/a"} ${expected}`);
    expect(text).toContain(`latency_ms_bucket{le="1",path="/a"} 0`);
    expect(text).toContain(`latency_ms_sum{path="/a"} ${expected * 5}`);
    expect(text).toContain(`latency_ms_count{path="/a"} ${expected}`);
  }
});

test('the gauges of workers that are gone are gone', async () => {
  const departed = new DepartedCounters();
  departed.add(await worker(3, 30));
  departed.add(await worker(3, 30));
  expect(await merged(departed, [await worker(1, 2)])).toContain('in_flight 2');
});

test('a worker that goes while the sums are being read is counted in the next reading', async () => {
  const departed = new DepartedCounters();
  departed.add(await worker(1));
  departed.add(await worker(2));
  const reading = departed.snapshots();
  departed.add(await worker(4));
  await Promise.all([reading, departed.snapshots()]);
  expect(await merged(departed, [])).toContain('requests_total{path="/a"} 7');
});

test('nobody gone adds nothing', async () => {
  expect(await new DepartedCounters().snapshots()).toEqual([]);
});
