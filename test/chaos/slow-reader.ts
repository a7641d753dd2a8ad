import { setTimeout as pause } from 'node:timers/promises';
import { modelName } from '../bench/mock-answers.ts';
import { residentBytes } from '../bench/proc.ts';
import { untilAnswering } from '../bench/target.ts';
import { watchMemory } from './memory-watch.ts';
import type { Check, Scenario } from './scenario.ts';
import { onStand, type Stand } from './stand.ts';

const readers = 20;
const bytesPerSecond = 1024;
const durationMs = 20_000;
/** By then every buffer between the backend and the readers is full. */
const settledMs = 6_000;
/** 1 GB per reader, as fast as it is taken. */
const endless = modelName(1_000_000, 0, 1_000);

/** High-water marks of the two sockets of a relay with their slack, per reader, and the noise of the heap. */
const heldBytesMax = readers * 512 * 1024 + 16 * 1024 * 1024;
/** Once full, nothing may grow: room for the noise of a garbage-collected heap only. */
const growthBytesMax = 8 * 1024 * 1024;
const goneWaitMs = 10_000;

/** The same streams to readers as fast as the backend, so that only what slow ones add is measured. */
async function warmUp({ gateway, generator, say }: Stand): Promise<void> {
  const chunks = 5_000;
  const report = await generator.run({
    mode: 'streams',
    to: gateway.to,
    watch: {},
    streams: readers,
    model: modelName(chunks, 0, 1_000),
    chunks,
    rampPerSecond: 1_000,
    repeatForMs: 0,
    deadlineMs: 30_000,
    sourceAddresses: 1,
  });
  if (report.errors > 0) throw new Error(`warm-up with fast readers: ${report.errorReasons.join('; ')}`);
  say(`${readers} fast readers have read ${readers * chunks} chunks of 1 KB`);
}

async function run(stand: Stand): Promise<readonly Check[]> {
  const { gateway, backend, generator, say } = stand;
  await warmUp(stand);
  const idleBytes = residentBytes(gateway.pids());
  const memory = watchMemory(gateway);
  const reading = generator.run({
    mode: 'slow',
    to: gateway.to,
    watch: { gateway: gateway.pids() },
    readers,
    model: endless,
    bytesPerSecond,
    durationMs,
  });
  say(`${readers} readers at ${bytesPerSecond} bytes/s for ${durationMs / 1000} s …`);
  await pause(settledMs);
  const settledBytes = memory.mostBytes;
  const sentBefore = (await backend.stats()).bytesSent;
  await untilAnswering(gateway.to); // the others are served all the while
  const report = await reading;
  memory.stop();
  const sentAfter = (await backend.stats()).bytesSent;
  const left = await openAfterReadersLeft(backend);
  const mb = (bytes: number): string => `${(bytes / 1_048_576).toFixed(1)} MB`;
  return [
    {
      text: 'slow readers keep their streams',
      ok: report.completed === readers && report.errors === 0,
      found: `${report.completed} of ${readers} still flowing, ${report.errors} errors ${report.errorReasons.join('; ')}`,
    },
    {
      text: `at most ${mb(heldBytesMax)} held for them beyond idle`,
      ok: memory.mostBytes - idleBytes <= heldBytesMax,
      found: `${mb(memory.mostBytes - idleBytes)} (idle ${mb(idleBytes)})`,
    },
    {
      text: `no growth beyond ${mb(growthBytesMax)} once the buffers are full`,
      ok: memory.mostBytes - settledBytes <= growthBytesMax,
      found: mb(memory.mostBytes - settledBytes),
    },
    {
      text: 'the backend is held back too',
      ok: sentAfter - sentBefore <= readers * 1_048_576,
      found: `${mb(sentAfter - sentBefore)} sent in ${(durationMs - settledMs) / 1000} s`,
    },
    {
      text: 'its requests are cancelled when the readers leave',
      ok: left === 0,
      found: `${left} streams left at the backend`,
    },
  ];
}

/** Streams the backend still sends, once that is none or ten seconds have passed. */
async function openAfterReadersLeft(backend: Stand['backend']): Promise<number> {
  const deadline = performance.now() + goneWaitMs;
  for (;;) {
    const { streamsBegun, streamsCompleted, streamsCut } = await backend.stats();
    const open = streamsBegun - streamsCompleted - streamsCut;
    if (open === 0 || performance.now() > deadline) return open;
    await pause(100);
  }
}

export const slowReader: Scenario = {
  name: 'slow-reader',
  shows: 'a client that reads slower than its backend writes costs no memory beyond the high-water marks',
  run: onStand(run),
};
