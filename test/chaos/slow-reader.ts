import { setTimeout as pause } from 'node:timers/promises';
import { modelName } from '../bench/mock-answers.ts';
import { residentBytes } from '../bench/proc.ts';
import { untilAnswering } from '../bench/target.ts';
import { watchMemory } from './memory-watch.ts';
import type { Check, Scenario, Stand } from './scenario.ts';

const readers = 20;
const bytesPerSecond = 1024;
const durationMs = 20_000;
/** By then every buffer between the backend and the readers is full. */
const settledMs = 6_000;
/** 1 GB per reader, as fast as it is taken. */
const endless = modelName(1_000_000, 0, 1_000);

/** High-water marks of the two sockets of a relay with their slack, per reader, and the cost of running at all. */
const heldBytesMax = readers * 512 * 1024 + 48 * 1024 * 1024;
/** Once full, nothing may grow: room for the noise of a garbage-collected heap only. */
const growthBytesMax = 8 * 1024 * 1024;
const goneWaitMs = 10_000;

async function run({ gateway, backend, generator, say }: Stand): Promise<readonly Check[]> {
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
  const left = await connectionsAfterReadersLeft(backend);
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
      ok: left < readers,
      found: `${left} connections left at the backend`,
    },
  ];
}

async function connectionsAfterReadersLeft(backend: Stand['backend']): Promise<number> {
  const deadline = performance.now() + goneWaitMs;
  for (;;) {
    const { connections } = await backend.stats();
    if (connections < readers || performance.now() > deadline) return connections;
    await pause(100);
  }
}

export const slowReader: Scenario = {
  name: 'slow-reader',
  shows: 'a client that reads slower than its backend writes costs no memory beyond the high-water marks',
  run,
};
