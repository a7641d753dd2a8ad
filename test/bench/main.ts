/**
 * `npm run bench [-- --quick]`: the gateway, nginx and Portkey side by side on one fast mock backend. Prints a verdict
 * per goal, writes docs/benchmarks.md (quick: dist/benchmarks-quick.md), exits 1 when a goal is missed or could not be measured.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { startMockBackend } from './backend.ts';
import type { MockBackend } from './backend.ts';
import { capacityOf } from './capacity.ts';
import { withChildren } from './children.ts';
import type { Children } from './children.ts';
import { startLoadGenerator } from './load-generator.ts';
import { beforeLoad, closedRounds, halfLoadRounds, maxRate, streamRounds } from './measure.ts';
import type { Bench, Measured } from './measure.ts';
import { disturbedMin, watchDisturbance } from './quiet.ts';
import { benchmarksPage } from './report.ts';
import { settingsFrom } from './settings.ts';
import type { Settings } from './settings.ts';
import { startTargets } from './start-targets.ts';
import { summarize } from './summary.ts';
import type { Summary } from './summary.ts';
import type { Target } from './target.ts';
import { goals } from './verdict.ts';
import type { Goal } from './verdict.ts';

const repoRoot = new URL('../../', import.meta.url).pathname;
const say = (line: string): void => console.log(line);

function direct(backend: MockBackend): Target {
  return {
    name: 'direct',
    setup: 'the mock backend itself, called by the generator: what the machine and the instruments can do',
    to: { port: backend.port, headers: {} },
    pids: () => [],
    companions: () => ({}),
  };
}

/** The rate of each proxy at half load: half of what our gateway keeps up with, so that all carry the same; Portkey half of its own. */
async function halfRates(bench: Bench, all: readonly Measured[]): Promise<Map<Measured, number>> {
  const named = (name: string): Measured | undefined => all.find(({ target }) => target.name === name);
  const halfOf = async (measured: Measured): Promise<number> =>
    Math.round((await capacityOf(bench, measured.target, maxRate(measured))) / 2);
  const rates = new Map<Measured, number>();
  const nginx = named('nginx');
  const reference = named('llmproxy') ?? nginx;
  const portkey = named('portkey');
  if (reference !== undefined) {
    const rate = await halfOf(reference);
    if (nginx !== undefined) rates.set(nginx, rate);
    rates.set(reference, rate);
  }
  if (portkey !== undefined) rates.set(portkey, await halfOf(portkey));
  return rates;
}

async function measureAll(bench: Bench, targets: readonly Target[]) {
  const all = targets.map(beforeLoad);
  const backendItself = beforeLoad(direct(bench.backend));
  await closedRounds(bench, [backendItself, ...all]);
  // Of the variants of the gateway only the cost of a request is of interest.
  await streamRounds(bench, [
    backendItself,
    ...all.filter(({ target }) => !target.name.startsWith('llmproxy, ')),
  ]);
  const windows = await halfLoadRounds(bench, backendItself, await halfRates(bench, all));
  return { measured: [backendItself, ...all], windows };
}

function printVerdict(found: readonly Goal[]): number {
  const mark = { met: 'MET         ', missed: 'MISSED      ', 'not measured': 'NOT MEASURED' };
  for (const { text, outcome, found: value } of found) say(`${mark[outcome]}  ${text}: ${value}`);
  return found.every(({ outcome }) => outcome === 'met') ? 0 : 1;
}

async function run(children: Children, folder: string, settings: Settings): Promise<number> {
  const startedAt = new Date();
  const backend = await startMockBackend(children);
  const generator = await startLoadGenerator(children);
  const { targets, skipped } = await startTargets({ children, backend, folder, repoRoot, say });
  const disturbanceSince = watchDisturbance();
  const { measured, windows } = await measureAll({ generator, backend, settings, say }, targets);
  const disturbance = disturbanceSince();
  const all: Summary[] = measured.map(summarize);
  const found = goals(all);
  const isQuick = process.argv.includes('--quick');
  const command = `npm run bench${isQuick ? ' -- --quick' : ''}`;
  const tookMs = Date.now() - startedAt.getTime();
  // A quick run is too noisy to replace the page that people read.
  const page = join(repoRoot, isQuick ? 'dist/benchmarks-quick.md' : 'docs/benchmarks.md');
  mkdirSync(dirname(page), { recursive: true });
  writeFileSync(
    page,
    benchmarksPage({
      all,
      skipped,
      goals: found,
      settings,
      disturbance,
      windows,
      command,
      startedAt,
      tookMs,
    }),
  );
  await promisify(execFile)(process.execPath, ['node_modules/prettier/bin/prettier.cjs', '--write', page], {
    cwd: repoRoot,
  });
  say(`\nTables: ${relative(repoRoot, page)} (${(tookMs / 1000).toFixed(0)} s)`);
  if (disturbance.others + disturbance.stolen > disturbedMin) {
    const percent = ((disturbance.others + disturbance.stolen) * 100).toFixed(0);
    say(
      `WARNING: ${percent} % of the machine went to others during the run; costs are inflated, p99 most of all`,
    );
  }
  return printVerdict(found);
}

const settings = settingsFrom(process.argv.slice(2));
const folder = mkdtempSync(join(tmpdir(), 'llmproxy-bench-'));
const code = await withChildren((children) => run(children, folder, settings));
rmSync(folder, { recursive: true, force: true });
process.exit(code);
