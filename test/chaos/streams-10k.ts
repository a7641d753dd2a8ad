import { modelName } from '../bench/mock-answers.ts';
import { openFilesMax, residentBytes } from '../bench/proc.ts';
import { watchMemory } from './memory-watch.ts';
import type { Check, Scenario } from './scenario.ts';
import { onStand, type Stand } from './stand.ts';

const streams = 10_000;
const rampPerSecond = 1_000;
const paceMs = 2_000;
/** A stream lives 38 s: the first is far from its end when the last one of the ramp has begun. */
const chunks = 20;
const deadlineMs = 120_000;
/** Grows the heap as any load does; told apart in the report, though the goal counts it too. */
const shortLoad = { connections: 64, warmUpMs: 0, durationMs: 3_000 };
const bytesPerStreamMax = 32 * 1024;
/** Client and backend sockets of half the streams in each worker, and room for an uneven half. */
const openFilesMin = 12_000;

async function run({ gateway, backend, generator, say }: Stand): Promise<readonly Check[]> {
  if (openFilesMax() < openFilesMin) {
    throw new Error(
      `a process may open ${openFilesMax()} files here; raise it first: ulimit -n ${openFilesMin}`,
    );
  }
  const idleBytes = residentBytes(gateway.pids());
  await generator.run({ mode: 'closed', to: gateway.to, watch: {}, ...shortLoad });
  const warmBytes = residentBytes(gateway.pids());
  const memory = watchMemory(gateway);
  let openAtOnce = 0;
  const counted: Promise<void>[] = [];
  const report = await generator.run(
    {
      mode: 'streams',
      to: gateway.to,
      watch: { gateway: gateway.pids() },
      streams,
      model: modelName(chunks, paceMs),
      chunks,
      rampPerSecond,
      repeatForMs: 0,
      deadlineMs,
      sourceAddresses: 8,
    },
    (phase) => {
      say(phase === 'begun' ? `opening ${streams} streams …` : 'all streams have begun');
      if (phase !== 'all-open') return;
      const count = async (): Promise<void> => {
        const { streamsBegun, streamsCompleted, streamsCut } = await backend.stats();
        openAtOnce = streamsBegun - streamsCompleted - streamsCut;
      };
      counted.push(count());
    },
  );
  await Promise.all(counted);
  memory.stop();
  const perStream = (memory.mostBytes - idleBytes) / streams;
  const kb = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KB`;
  const mb = (bytes: number): string => `${(bytes / 1_048_576).toFixed(0)} MB`;
  return [
    {
      text: `${streams} streams open at the same time`,
      ok: openAtOnce === streams,
      found: `${openAtOnce} open when the last had begun`,
    },
    {
      text: 'all of them complete, every chunk there, with [DONE]',
      ok: report.completed === streams && report.errors === 0,
      found: `${report.completed} complete, ${report.errors} errors ${report.errorReasons.join('; ')}`,
    },
    {
      text: `at most ${kb(bytesPerStreamMax)} of resident memory per stream beyond idle`,
      ok: perStream <= bytesPerStreamMax,
      found: `${kb(perStream)} (idle ${mb(idleBytes)}, after a short load ${mb(warmBytes)}, peak ${mb(memory.mostBytes)}; beyond the short load ${kb((memory.mostBytes - warmBytes) / streams)} per stream)`,
    },
  ];
}

export const streams10k: Scenario = {
  name: 'streams-10k',
  shows: '10,000 open streams on two workers all complete, in bounded memory',
  run: onStand(run),
};
