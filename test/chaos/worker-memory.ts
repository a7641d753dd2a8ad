import { workerFlags } from '@llmproxy/app-life';
import { openUsageProducer } from '@llmproxy/usage-queue';
import { usageEvent } from '@llmproxy/usage-queue/testing';
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { messageFrom } from '../bench/children.ts';
import { startBenchRedis } from '../bench/gateway-parts.ts';
import { anonymousBytes } from '../bench/proc.ts';
import { freePort } from '../bench/target.ts';
import type { Check, Place, Scenario } from './scenario.ts';

const eventsPerSecond = 100;
/** By then code is compiled, and the heap as large as this load makes it. */
const settledMinutes = 4;
const watchedMinutes = 8;
const sampleMs = 5_000;
const scrapeMs = 5_000;
const growthMbMax = 0.2;
const mebibyte = 1_024 * 1_024;

interface Sample {
  minutes: number;
  megabytes: number;
}

/** Growth by least squares, in MB per minute. */
function slopeOf(samples: readonly Sample[]): number {
  const mean = (of: (sample: Sample) => number) =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const [atX, atY] = [mean(({ minutes }) => minutes), mean(({ megabytes }) => megabytes)];
  const covariance = mean(({ minutes, megabytes }) => (minutes - atX) * (megabytes - atY));
  return covariance / mean(({ minutes }) => (minutes - atX) ** 2);
}

/** A webhook that takes everything, and how much it took. */
async function startReceiver({ children }: Place) {
  let taken = 0;
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      taken += 1;
      response.writeHead(204).end();
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  children.alsoStop(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/usage`, taken: () => taken };
}

async function startWorker(place: Place, redisUrl: string, webhookUrl: string) {
  const { children, folder, repoRoot } = place;
  const config = join(folder, 'config.yaml');
  const management = `127.0.0.1:${await freePort()}`;
  writeFileSync(
    config,
    JSON.stringify({
      backends: [{ url: 'http://127.0.0.1:9' }],
      redis: { url: redisUrl },
      storage: { databases: [{ name: 'main', driver: 'sqlite', path: join(folder, 'usage.db') }] },
      usage: {
        reporters: [
          { name: 'billing', type: 'webhook', webhook: { url: webhookUrl, secret: 's' } },
          { name: 'sql', type: 'database', database: { storage: 'main' } },
        ],
      },
    }),
  );
  const preload = new URL('heap-on-demand.ts', import.meta.url).href;
  const worker = children.spawn(
    process.execPath,
    [
      ...workerFlags,
      '--import',
      preload,
      join(repoRoot, 'dist/apps/worker/main.js'),
      '--config',
      config,
      '--management-listen',
      management,
    ],
    { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] },
  );
  await messageFrom(worker, (message): message is object => typeof message === 'object');
  return { worker, management: `http://${management}` };
}

const eventNow = () =>
  usageEvent({
    request_id: randomUUID(),
    timestamp: new Date().toISOString(),
    key_id: '0123456789abcdef0123456789abcdef',
    api_key: 'sk-a...wxyz',
    user_id: 'user-1',
  });

/** Pushes events at a steady rate until stopped; returns how many it pushed so far. */
function pushEvents(place: Place, redisUrl: string) {
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const spoolDir = join(place.folder, 'spool');
  const producer = openUsageProducer({ redis: { url: redisUrl }, spoolDir, log });
  const startMs = performance.now();
  let pushed = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - startMs) / 1_000) * eventsPerSecond;
    for (; pushed < due; pushed += 1) producer.push(eventNow());
  }, 10);
  place.children.alsoStop(async () => {
    clearInterval(timer);
    await producer.close();
  });
  return () => pushed;
}

/** As Prometheus and an orchestrator do. */
function askRegularly({ children }: Place, management: string): void {
  const timer = setInterval(() => {
    for (const path of ['/metrics', '/readyz?verbose'])
      void fetch(management + path).then(
        (answer) => answer.text(),
        () => undefined,
      );
  }, scrapeMs);
  children.alsoStop(() => Promise.resolve(clearInterval(timer)));
}

async function heapOf(worker: ChildProcess): Promise<number> {
  const answer = messageFrom(
    worker,
    (message): message is { heapBytes: number } =>
      typeof message === 'object' && message !== null && 'heapBytes' in message,
  );
  worker.send('heap');
  return (await answer).heapBytes / mebibyte;
}

async function watch(worker: ChildProcess): Promise<Sample[]> {
  const samples: Sample[] = [];
  const startMs = performance.now();
  for (;;) {
    const minutes = (performance.now() - startMs) / 60_000;
    if (minutes > watchedMinutes) return samples;
    samples.push({ minutes, megabytes: anonymousBytes(worker.pid ?? 0) / mebibyte });
    await pause(sampleMs);
  }
}

async function run(place: Place): Promise<readonly Check[]> {
  const redis = await startBenchRedis(place.children, join(place.folder, 'redis'));
  const receiver = await startReceiver(place);
  const { worker, management } = await startWorker(place, redis.url, receiver.url);
  askRegularly(place, management);
  const pushed = pushEvents(place, redis.url);
  place.say(`${eventsPerSecond} events/s to a webhook and SQLite; watched after ${settledMinutes} minutes …`);
  // A collection gives memory back, which is taken again: none shortly before or while it is watched.
  await pause(60_000);
  const heapBefore = await heapOf(worker);
  await pause((settledMinutes - 1) * 60_000);
  const samples = await watch(worker);
  const heapGrowth = ((await heapOf(worker)) - heapBefore) / (settledMinutes - 1 + watchedMinutes);
  const growth = slopeOf(samples);
  const behind = pushed() - receiver.taken();
  return [
    {
      text: `its memory grows by at most ${growthMbMax} MB/min over ${watchedMinutes} minutes`,
      ok: growth <= growthMbMax,
      found: `${growth.toFixed(3)} MB/min, at ${(samples.at(-1)?.megabytes ?? 0).toFixed(0)} MB`,
    },
    {
      text: `what is left of its heap after a collection does so too`,
      ok: heapGrowth <= growthMbMax,
      found: `${heapGrowth.toFixed(3)} MB/min, at ${heapBefore.toFixed(1)} MB`,
    },
    {
      text: 'the worker keeps up',
      ok: behind < eventsPerSecond * 2,
      found: `${behind} of ${pushed()} events under way at the end`,
    },
  ];
}

export const workerMemory: Scenario = {
  name: 'worker-memory',
  shows:
    'a worker under a steady load of usage events needs no more memory after twelve minutes than after four',
  run,
};
