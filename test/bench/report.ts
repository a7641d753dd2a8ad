/** docs/benchmarks.md, written from one run. */
import { availableParallelism } from 'node:os';
import { machine, table } from './markdown.ts';
import { stolenMax, triesMax, type Disturbance, type Windows } from './quiet.ts';
import type { Settings } from './settings.ts';
import { backendUse, generatorUse } from './summary.ts';
import type { Summary } from './summary.ts';
import type { Skipped } from './target.ts';
import type { Goal } from './verdict.ts';

export interface Run {
  readonly all: readonly Summary[];
  readonly skipped: readonly Skipped[];
  readonly goals: readonly Goal[];
  readonly settings: Settings;
  readonly disturbance: Disturbance;
  /** Of the half-load rounds. */
  readonly windows: Windows;
  readonly command: string;
  readonly startedAt: Date;
  readonly tookMs: number;
}

const num = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : '–');

type Pick = (summary: Summary) => number;

/** How many times the value of `peer` this is. */
function ratio(run: Run, peer: string, pick: Pick): (summary: Summary) => string {
  const other = run.all.find(({ measured }) => measured.target.name === peer);
  const base = other === undefined ? Number.NaN : pick(other);
  return (summary) => num(pick(summary) / base, 2);
}

const name = ({ measured }: Summary): string => measured.target.name;
const isProxy = ({ measured }: Summary): boolean => measured.target.name !== 'direct';

function requests(run: Run): string {
  const cost: Pick = ({ cpuPerRequest }) => cpuPerRequest;
  const toNginx = ratio(run, 'nginx', cost);
  const toPortkey = ratio(run, 'portkey', cost);
  const rows = run.all.map((s) => [
    name(s),
    num(s.requestsPerSecond, 0),
    ...(isProxy(s) ? [num(s.cpuPerRequest, 1), toNginx(s), toPortkey(s)] : ['–', '–', '–']),
    isProxy(s) && s.redisPerRequest > 0 ? num(s.redisPerRequest, 1) : '–',
    num(s.latencyP50, 2),
    num(s.latencyP99, 2),
  ]);
  return table(
    ['', 'req/s', 'CPU µs/request', '× nginx', '× Portkey', 'Redis µs/request', 'p50 ms', 'p99 ms'],
    rows,
  );
}

function streams(run: Run): string {
  const cost: Pick = ({ cpuPerChunk }) => cpuPerChunk;
  const toNginx = ratio(run, 'nginx', cost);
  const toPortkey = ratio(run, 'portkey', cost);
  const rows = run.all
    .filter(({ measured }) => measured.streams.length > 0)
    .map((s) => [
      name(s),
      num(s.chunksPerSecond, 0),
      ...(isProxy(s) ? [num(s.cpuPerChunk, 2), toNginx(s), toPortkey(s)] : ['–', '–', '–']),
      num(s.chunkDelayP50, 2),
      num(s.chunkDelayP99, 2),
      num(s.streamTtftP50, 2),
      num(s.streamTtftP99, 2),
    ]);
  return table(
    [
      '',
      'chunks/s',
      'CPU µs/chunk',
      '× nginx',
      '× Portkey',
      'delay p50 ms',
      'delay p99 ms',
      'TTFT p50 ms',
      'TTFT p99 ms',
    ],
    rows,
  );
}

function halfLoad(run: Run): string {
  const rows = run.all.flatMap((s) =>
    s.half === undefined
      ? []
      : [
          [
            name(s),
            num(s.half.ratePerSecond, 0),
            num(s.half.reachedPerSecond, 0),
            `${num(s.half.directP50, 2)} / ${num(s.half.directP99, 2)}`,
            `${num(s.half.p50, 2)} / ${num(s.half.p99, 2)}`,
            `**${num(s.half.addedP50, 2)} / ${num(s.half.addedP99, 2)}**`,
            num(s.half.lagP99, 2),
            num(s.half.cpuPerRequest, 1),
          ],
        ],
  );
  return table(
    [
      '',
      'asked req/s',
      'reached req/s',
      'direct TTFT p50 / p99 ms',
      'TTFT p50 / p99 ms',
      'added p50 / p99 ms',
      'generator lag p99 ms',
      'CPU µs/request',
    ],
    rows,
  );
}

function memory(run: Run): string {
  const mb = (bytes: number): string => num(bytes / 1_048_576, 1);
  const busy: Pick = ({ measured }) => measured.busyBytes || Number.NaN;
  const toNginx = ratio(run, 'nginx', busy);
  const toPortkey = ratio(run, 'portkey', busy);
  const rows = run.all
    .filter((s) => isProxy(s) && s.measured.busyBytes > 0)
    .map((s) => [name(s), mb(s.measured.idleBytes), mb(s.measured.busyBytes), toNginx(s), toPortkey(s)]);
  return table(['', 'idle MB', 'busy MB', 'busy × nginx', 'busy × Portkey'], rows);
}

function instruments(run: Run): string {
  const rows = run.all.map((s) => {
    const generator = generatorUse(s.measured);
    const backend = backendUse(s.measured);
    return [
      name(s),
      num(s.requestsPerSecond, 0),
      num(generator.perRequest, 1),
      `${num(generator.coreShare * 100, 0)} %`,
      num(backend.perRequest, 1),
      `${num(backend.coreShare * 100, 0)} %`,
    ];
  });
  return table(
    ['load on', 'req/s', 'generator µs/request', 'of one core', 'backend µs/request', 'of one core'],
    rows,
  );
}

function rounds(run: Run): string {
  const list = (values: readonly number[], digits: number): string =>
    values.map((value) => num(value, digits)).join(' · ') || '–';
  const rows = run.all.filter(isProxy).map((s) => [
    name(s),
    list(
      s.measured.closed.map((r) => (r.cpuMicros.target ?? 0) / Math.max(1, r.completed)),
      1,
    ),
    list(
      s.measured.streams.map((r) => (r.cpuMicros.target ?? 0) / Math.max(1, r.chunks)),
      2,
    ),
    list(s.measured.halfLoad?.through.map((r) => r.ttft.p50) ?? [], 2),
    list(s.measured.halfLoad?.through.map((r) => r.ttft.p99) ?? [], 2),
  ]);
  return table(['', 'µs/request', 'µs/chunk', 'half-load TTFT p50 ms', 'p99 ms'], rows);
}

const percent = (share: number): string => `${num(share * 100, 0)} %`;

const bullets = (lines: readonly string[]): string => lines.map((line) => `- ${line}`).join('\n');

/** The whole page. */
export function benchmarksPage(run: Run): string {
  const { settings, windows } = run;
  const setups = run.all.map(({ measured }) => `**${measured.target.name}**: ${measured.target.setup}`);
  const skipped = run.skipped.map(
    ({ name: missing, reason }) => `**${missing}**: not in this run (${reason})`,
  );
  return `# Benchmarks

Written by \`${run.command}\` on ${run.startedAt.toISOString().slice(0, 10)}, in ${(run.tookMs / 60_000).toFixed(1)} minutes. Do not edit: run it again.

Machine: ${machine()}. The load generator, the mock backend, Redis and whatever is measured share it, over loopback. Other processes took ${percent(run.disturbance.others)} of the machine during the run, the hypervisor ${percent(run.disturbance.stolen)}.

## Verdict

${table(
  ['goal', 'outcome', 'found'],
  run.goals.map((g) => [g.text, g.outcome, g.found]),
)}

## What was compared

${bullets([...setups, ...skipped])}

## Requests of 1 KB, ${settings.connections} connections, no stream

Every connection sends its next request when it has its answer, so this is the most that fits the machine.

${requests(run)}

## ${settings.streams} streams × ${settings.chunksPerStream} chunks of 200 bytes, one per ${settings.paceMs} ms and stream

The delay of a chunk runs from its making in the backend until the generator has read it. CPU per chunk includes the request's share.

${streams(run)}

## Time to first token at half load

${num(100 - 100 / settings.streamEvery, 0)} % requests as above and ${num(100 / settings.streamEvery, 0)} % streams of 3 chunks, sent at a constant rate: half of the highest one that \`llmproxy\` keeps up with (Portkey: half of its own), found by bisection. That is less than half of the table above, where waiting requests share a wake-up. Latency runs from the time a request was *due*, not from when it was sent, so no wait is left out; the lag of the generator's own timer (about 1 ms) is in every number and cancels in *added*, the difference to the backend called directly at the same rate.

${halfLoad(run)}

## Memory

Sum of Pss over the process tree: before any load, and with ${settings.streams} streams open.

${memory(run)}

## The instruments are not the bottleneck

The same generator process against the mock backend alone (row *direct*) reaches the rate that it could offer to anything. A share of a core well below 100 % next to a target means that the generator was waiting for it.

${instruments(run)}

## Method and noise

- ${settings.rounds} round(s), ${settings.halfLoadRounds} at half load; in each every target has its turn, beginning with another one each round (A B C, B C A, …), so that a disturbance of the machine meets all. Tables show medians over the rounds, this one each round:

${rounds(run)}

- CPU is user + system time of the whole process tree from \`/proc/<pid>/stat\` between the ends of the measured window (resolution 10 ms, window ${settings.closedMs / 1000} s), divided by the answers that arrived within it. Before the first round each target takes ${settings.compileMs / 1000} s of the same load unmeasured, and ${settings.warmUpMs / 1000} s before each window.
- Every answer is checked: status, length of the body, number of chunks, \`[DONE]\`.
- All processes share ${availableParallelism()} cores: throughput is that of the machine, not of a target with cores of its own; CPU per request is the number to compare. Kernel work for a target's sockets counts as the target's.
- A virtual machine is taken off its processors now and then, for milliseconds: that is the tail of whatever runs then. A window at half load in which the hypervisor took more than ${percent(stolenMax)} of the machine is measured again, up to ${triesMax} times, and the quietest is kept, whatever was measured: of ${windows.measured} windows ${windows.repeated} were; in those kept it took at most ${percent(windows.stolen)}.
- Ratios are steadier than absolute numbers; on a shared or virtual machine expect ± 10 % in CPU and far more in p99.
`;
}
