/** Medians over the rounds: the numbers that the tables and the verdict are made of. */
import { maxRate, perUnit } from './measure.ts';
import type { HalfLoad, Measured } from './measure.ts';
import type { LoadReport } from './plan.ts';
import { median } from './samples.ts';

/** Medians of one target; NaN where it was not measured. Times in ms, CPU in µs. */
export interface Summary {
  readonly measured: Measured;
  readonly requestsPerSecond: number;
  readonly cpuPerRequest: number;
  readonly redisPerRequest: number;
  readonly latencyP50: number;
  readonly latencyP99: number;
  readonly chunksPerSecond: number;
  readonly cpuPerChunk: number;
  readonly chunkDelayP50: number;
  readonly chunkDelayP99: number;
  readonly streamTtftP50: number;
  readonly streamTtftP99: number;
  readonly errors: number;
  readonly half: HalfSummary | undefined;
}

/** TTFT at half load, and what the target added to the TTFT of the backend at the same rate. */
export interface HalfSummary {
  readonly ratePerSecond: number;
  readonly reachedPerSecond: number;
  readonly directP50: number;
  readonly directP99: number;
  readonly p50: number;
  readonly p99: number;
  readonly addedP50: number;
  readonly addedP99: number;
  readonly lagP99: number;
  readonly cpuPerRequest: number;
}

const over = (reports: readonly LoadReport[], value: (report: LoadReport) => number): number =>
  median(reports.map(value));

export function summarize(measured: Measured): Summary {
  const { closed, streams, halfLoad } = measured;
  const all = [...closed, ...streams, ...(halfLoad?.through ?? [])];
  return {
    measured,
    requestsPerSecond: maxRate(measured),
    cpuPerRequest: over(closed, (report) => perUnit(report, 'target', report.completed)),
    redisPerRequest: over(closed, (report) => perUnit(report, 'redis', report.completed)),
    latencyP50: over(closed, (report) => report.latency.p50),
    latencyP99: over(closed, (report) => report.latency.p99),
    chunksPerSecond: over(streams, (report) => (report.chunks / report.windowMs) * 1000),
    cpuPerChunk: over(streams, (report) => perUnit(report, 'target', report.chunks)),
    chunkDelayP50: over(streams, (report) => report.chunkDelay.p50),
    chunkDelayP99: over(streams, (report) => report.chunkDelay.p99),
    streamTtftP50: over(streams, (report) => report.ttft.p50),
    streamTtftP99: over(streams, (report) => report.ttft.p99),
    errors: all.reduce((sum, report) => sum + report.errors, 0),
    half: halfLoad === undefined ? undefined : summarizeHalf(halfLoad),
  };
}

function summarizeHalf({ ratePerSecond, direct, through }: HalfLoad): HalfSummary {
  const directP50 = over(direct, (report) => report.ttft.p50);
  const directP99 = over(direct, (report) => report.ttft.p99);
  const p50 = over(through, (report) => report.ttft.p50);
  const p99 = over(through, (report) => report.ttft.p99);
  return {
    ratePerSecond,
    reachedPerSecond: over(through, (report) => report.perSecond),
    directP50,
    directP99,
    p50,
    p99,
    addedP50: p50 - directP50,
    addedP99: p99 - directP99,
    lagP99: over(through, (report) => report.lag.p99),
    cpuPerRequest: over(through, (report) => perUnit(report, 'target', report.completed)),
  };
}

/** CPU of the generator in the closed-loop runs: µs per request, and share of one core. */
export function generatorUse(measured: Measured): {
  readonly perRequest: number;
  readonly coreShare: number;
} {
  return {
    perRequest: over(measured.closed, (report) => report.generatorCpuMicros / Math.max(1, report.completed)),
    coreShare: over(measured.closed, (report) => report.generatorCpuMicros / 1000 / report.windowMs),
  };
}

/** The same for the mock backend. */
export function backendUse(measured: Measured): { readonly perRequest: number; readonly coreShare: number } {
  return {
    perRequest: over(measured.closed, (report) => perUnit(report, 'backend', report.completed)),
    coreShare: over(measured.closed, (report) => (report.cpuMicros.backend ?? 0) / 1000 / report.windowMs),
  };
}
