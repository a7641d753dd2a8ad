/** The rounds: every target in turn, again and again, so that a disturbance of the machine meets all of them. */
import type { MockBackend } from './backend.ts';
import type { LoadGenerator } from './load-generator.ts';
import { modelName } from './mock-answers.ts';
import type { LoadPlan, LoadReport, OpenLoop } from './plan.ts';
import { residentBytes } from './proc.ts';
import { QuietWindows, type Windows } from './quiet.ts';
import { median } from './samples.ts';
import type { Settings } from './settings.ts';
import type { Target } from './target.ts';

export interface HalfLoad {
  readonly ratePerSecond: number;
  readonly direct: readonly LoadReport[];
  readonly through: readonly LoadReport[];
}

/** All that was measured of one target, one report per round. */
export interface Measured {
  readonly target: Target;
  readonly closed: LoadReport[];
  readonly streams: LoadReport[];
  halfLoad: HalfLoad | undefined;
  /** Resident bytes before any load, and the most seen while streams were open. */
  readonly idleBytes: number;
  busyBytes: number;
}

export interface Bench {
  readonly generator: LoadGenerator;
  readonly backend: MockBackend;
  readonly settings: Settings;
  readonly say: (line: string) => void;
}

type Watch = LoadPlan['watch'];

function watched(bench: Bench, target: Target): Watch {
  return { target: target.pids(), backend: [bench.backend.pid], ...target.companions() };
}

export const beforeLoad = (target: Target): Measured => ({
  target,
  closed: [],
  streams: [],
  halfLoad: undefined,
  idleBytes: residentBytes(target.pids()),
  busyBytes: 0,
});

/** CPU-µs of the target per request (or per whatever `count` counts). */
export const perUnit = (report: LoadReport, process: string, count: number): number =>
  (report.cpuMicros[process] ?? 0) / Math.max(1, count);

export const maxRate = (measured: Measured): number =>
  median(measured.closed.map((report) => report.perSecond));

export async function closedRounds(bench: Bench, all: readonly Measured[]): Promise<void> {
  const { settings } = bench;
  for (const { target } of all) await compileCode(bench, target);
  for (let round = 1; round <= settings.rounds; round += 1) {
    for (const measured of rotated(all, round)) {
      const report = await bench.generator.run({
        mode: 'closed',
        to: measured.target.to,
        watch: watched(bench, measured.target),
        connections: settings.connections,
        warmUpMs: settings.warmUpMs,
        durationMs: settings.closedMs,
      });
      measured.closed.push(report);
      const cost = perUnit(report, 'target', report.completed).toFixed(1);
      bench.say(
        `requests ${round}/${settings.rounds}  ${label(measured)} ${report.perSecond.toFixed(0)}/s, ${cost} µs${problems(report)}`,
      );
    }
  }
}

/** Each round begins with another target: what comes late in a round finds a warmer machine and a fuller one. */
function rotated<T>(all: readonly T[], round: number): T[] {
  const first = (round - 1) % all.length;
  return [...all.slice(first), ...all.slice(0, first)];
}

/** An unmeasured run: a JavaScript engine needs some ten thousand requests until its code is compiled for good. */
async function compileCode({ generator, settings }: Bench, target: Target): Promise<void> {
  const once = { watch: {}, connections: settings.connections, warmUpMs: 0, durationMs: settings.compileMs };
  await generator.run({ mode: 'closed', to: target.to, ...once });
}

export async function streamRounds(bench: Bench, all: readonly Measured[]): Promise<void> {
  const { settings } = bench;
  for (let round = 1; round <= settings.rounds; round += 1) {
    for (const measured of all) {
      const { target } = measured;
      const sampleMemory = (): void => {
        measured.busyBytes = Math.max(measured.busyBytes, residentBytes(target.pids()));
      };
      const report = await bench.generator.run(streamPlan(bench, target), (phase) => {
        if (phase === 'all-open') sampleMemory();
      });
      sampleMemory();
      measured.streams.push(report);
      const cost = perUnit(report, 'target', report.chunks).toFixed(2);
      bench.say(
        `streams  ${round}/${settings.rounds}  ${label(measured)} ${report.chunks} chunks, ${cost} µs${problems(report)}`,
      );
    }
  }
}

function streamPlan(bench: Bench, target: Target): LoadPlan {
  const { settings } = bench;
  return {
    mode: 'streams',
    to: target.to,
    watch: watched(bench, target),
    streams: settings.streams,
    model: modelName(settings.chunksPerStream, settings.paceMs),
    chunks: settings.chunksPerStream,
    rampPerSecond: 400,
    repeatForMs: settings.streamsMs,
    deadlineMs: 30_000,
    sourceAddresses: 1,
  };
}

/** Each target at its rate, and next to it the backend itself at the same rate, in quiet windows. */
export async function halfLoadRounds(
  bench: Bench,
  direct: Measured,
  at: ReadonlyMap<Measured, number>,
): Promise<Windows> {
  const windows = new QuietWindows();
  const directAt = new Map<number, LoadReport[]>();
  const throughOf = new Map<Measured, LoadReport[]>();
  const { halfLoadRounds: rounds } = bench.settings;
  for (let round = 1; round <= rounds; round += 1) {
    for (const ratePerSecond of new Set(at.values())) {
      const peers = [...at].filter(([, rate]) => rate === ratePerSecond).map(([measured]) => measured);
      for (const measured of rotated([direct, ...peers], round)) {
        const plan = halfLoadPlan(bench, measured.target, ratePerSecond);
        const report = await windows.quietest(() => bench.generator.run(plan));
        if (measured === direct) append(directAt, ratePerSecond, report);
        else append(throughOf, measured, report);
        const { p50, p99 } = report.ttft;
        bench.say(
          `half load ${round}/${rounds} ${label(measured)} ${ratePerSecond}/s, TTFT p50 ${p50.toFixed(2)} p99 ${p99.toFixed(2)} ms${problems(report)}`,
        );
      }
    }
  }
  for (const [measured, ratePerSecond] of at) {
    measured.halfLoad = {
      ratePerSecond,
      direct: directAt.get(ratePerSecond) ?? [],
      through: throughOf.get(measured) ?? [],
    };
  }
  return windows.counts;
}

/** The mix of requests and streams at a constant rate. */
export function halfLoadPlan(bench: Bench, target: Target, ratePerSecond: number): OpenLoop {
  const { settings } = bench;
  return {
    mode: 'open',
    to: target.to,
    watch: watched(bench, target),
    ratePerSecond,
    streamEvery: settings.streamEvery,
    warmUpMs: settings.warmUpMs,
    durationMs: settings.halfLoadMs,
  };
}

function append<K>(map: Map<K, LoadReport[]>, key: K, report: LoadReport): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [report]);
  else list.push(report);
}

const label = (measured: Measured): string => measured.target.name.padEnd(16);

const problems = (report: LoadReport): string =>
  report.errors === 0 ? '' : `  ${report.errors} ERRORS: ${report.errorReasons.join('; ')}`;
