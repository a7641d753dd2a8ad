import { openDeadLetters } from '@llmproxy/delivery';
import { openLedger } from '@llmproxy/ledger';
import { spawnRedisServer } from '@llmproxy/embedded-redis';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { openUsageProducer } from '@llmproxy/usage-queue';
import { usageEvent } from '@llmproxy/usage-queue/testing';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

const patient = { timeout: 25_000 };
// A job whose taking was under way when Redis died waits for its lock to expire.
const untilLocksExpire = { timeout: 50_000 };
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'uw-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A Redis that can be killed and started again on its data. */
async function killableRedis() {
  const dir = freshFolder();
  const socket = join(dir, 'r.sock');
  const settings = { dir, save: '', appendonly: 'yes', appendfsync: 'always' };
  const start = () => spawnRedisServer({ socket, settings, stopSignal: 'SIGKILL' });
  let server = await start();
  onTestFinished(() => server.stop());
  return {
    url: `unix://${socket}`,
    kill: () => server.stop(),
    restart: async () => void (server = await start()),
  };
}

/** A webhook receiver; counts deliveries by idempotency key. */
async function receiver(status = 204) {
  const state = { status, url: '', taken: new Map<string, number>() };
  const server = createServer((request, response) => {
    const key = String(request.headers['idempotency-key']);
    if (state.status < 300) state.taken.set(key, (state.taken.get(key) ?? 0) + 1);
    request.resume().on('end', () => response.writeHead(state.status).end());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/usage`;
  return state;
}

interface Setup {
  redisUrl: string;
  webhookUrl?: string;
  database?: string;
}

function configFor({ redisUrl, webhookUrl, database }: Setup): string {
  const webhook = {
    name: 'billing',
    type: 'webhook',
    enabled: true,
    webhook: { url: webhookUrl, retry: 0, secret: 's' },
  };
  const sql = { name: 'sql', type: 'database', enabled: true, database: { storage: 'main' } };
  const config = {
    backends: [{ url: 'http://127.0.0.1:9' }],
    redis: { url: redisUrl },
    storage: {
      databases:
        database === undefined ? [] : [{ name: 'main', enabled: true, driver: 'sqlite', path: database }],
    },
    usage: {
      enabled: true,
      reporters: [...(webhookUrl === undefined ? [] : [webhook]), ...(database === undefined ? [] : [sql])],
    },
  };
  const path = join(freshFolder(), 'config.yaml');
  writeFileSync(path, JSON.stringify(config));
  return path;
}

/** The worker as it runs in production: a process of its own, told to stop by a signal. */
async function startWorker(setup: Setup) {
  const args = ['--config', configFor(setup), '--management-listen', '127.0.0.1:0'];
  const child = fork(new URL('main.ts', import.meta.url), args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) await ended(child, () => child.kill('SIGKILL'));
  });
  const isReady = once(child, 'message').then(([message]: unknown[]) => message);
  const died = once(child, 'exit').then(() => Promise.reject(new Error(output)));
  died.catch(() => undefined);
  expect(await Promise.race([isReady, died])).toEqual({ ready: true });
  const management = async () => {
    await expect.poll(() => output, patient).toMatch(/"management":"/);
    return /"management":"([^"]+)"/.exec(output)?.[1] ?? '';
  };
  return { child, output: () => output, management };
}

async function ended(
  child: ChildProcess,
  end: () => void,
): Promise<[code: number | null, signal: string | null]> {
  const exit = once(child, 'exit');
  end();
  return (await exit) as [number | null, string | null];
}

function produce(redisUrl: string) {
  const producer = openUsageProducer({
    redis: { url: redisUrl },
    spoolDir: freshFolder(),
    log: silent,
    batchMax: 10,
    sendMs: 500,
  });
  onTestFinished(() => producer.close());
  return producer;
}

async function requestsIn(database: string): Promise<number> {
  await using ledger = openLedger({ driver: 'sqlite', path: database });
  return (await ledger.totals()).reduce((sum, total) => sum + total.requests, 0);
}

async function metric(management: string, series: string): Promise<number> {
  const text = await (await fetch(`${management}/metrics`)).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  return Number(line?.slice(series.length));
}

test('with Redis killed and restarted under load, every event has exactly one row', async () => {
  const redis = await killableRedis();
  const database = join(freshFolder(), 'usage.db');
  await startWorker({ redisUrl: redis.url, database });
  const producer = produce(redis.url);
  let pushed = 0;
  const pushUntil = async (done: () => boolean) => {
    await expect
      .poll(() => {
        for (let count = 0; count < 25; count += 1, pushed += 1) producer.push(usageEvent());
        return done();
      }, patient)
      .toBe(true);
  };
  await pushUntil(() => producer.counts().sent > 200);
  await Promise.all([redis.kill(), pushUntil(() => producer.counts().spooled > 100)]);
  await Promise.all([redis.restart(), pushUntil(() => producer.counts().sent > 600)]);
  await expect.poll(() => requestsIn(database), untilLocksExpire).toBe(pushed);
  expect(producer.counts().dropped).toBe(0);
}, 90_000);

test('a dead webhook delays no row, is counted, and gets its events once it is replayed', async () => {
  const redis = await killableRedis();
  const database = join(freshFolder(), 'usage.db');
  const webhook = await receiver(503);
  const worker = await startWorker({ redisUrl: redis.url, database, webhookUrl: webhook.url });
  const management = await worker.management();
  const producer = produce(redis.url);
  const events = Array.from({ length: 30 }, () => usageEvent());
  for (const event of events) producer.push(event);
  await expect.poll(() => requestsIn(database), patient).toBe(30);
  await expect.poll(() => metric(management, 'llmproxy_webhook_failure_total'), patient).toBe(30);
  expect(await metric(management, 'llmproxy_dead_letters{reporter="billing"}')).toBe(30);
  expect(
    await metric(management, 'llmproxy_reporter_deliveries_total{reporter="sql",outcome="delivered"}'),
  ).toBe(30);
  expect((await fetch(`${management}/readyz`)).status).toBe(200);
  expect(await (await fetch(`${management}/readyz?verbose`)).text()).toContain(
    '[-]billing failing: answered 503',
  );
  await expect.poll(() => worker.output().match(/reporter fails/g), patient).toHaveLength(1);

  webhook.status = 204;
  const letters = openDeadLetters({ redis });
  onTestFinished(() => letters.close());
  expect(await letters.replayDeadLetters('billing', 'all')).toBe(30);
  await expect.poll(() => metric(management, 'llmproxy_webhook_success_total'), patient).toBe(30);
  expect(webhook.taken).toEqual(new Map(events.map(({ event_id }) => [event_id, 1])));
  expect(await metric(management, 'llmproxy_queue_depth{queue="usage-billing"}')).toBe(0);
});

test('a worker that gets no jobs is not ready, and each of its queues says since when and why', async () => {
  const redis = await killableRedis();
  const webhook = await receiver();
  const worker = await startWorker({ redisUrl: redis.url, webhookUrl: webhook.url });
  const management = await worker.management();
  const readiness = async (): Promise<[number, string]> => {
    const answer = await fetch(`${management}/readyz?verbose`);
    return [answer.status, await answer.text()];
  };
  await expect
    .poll(readiness, patient)
    .toEqual([200, expect.stringMatching(/^\[\+\]queue ok\n(.*\n)*\[\+\]billing ok\n/)]);
  await redis.kill();
  const failing =
    /^\[-\]queue failing since .*: no connection to Redis: connect E.*\n(.*\n)*\[-\]billing failing since .*: no c.*: connect E/;
  await expect.poll(readiness, patient).toEqual([503, expect.stringMatching(failing)]);
  await redis.restart();
  const again = /^\[\+\]queue ok; failed last at .*\n(.*\n)*\[\+\]billing ok; failed last at .*\nready\n$/;
  await expect.poll(readiness, patient).toEqual([200, expect.stringMatching(again)]);
});

test('a database that cannot be opened for a while gets its rows when it can', async () => {
  const redis = await killableRedis();
  const folder = join(freshFolder(), 'blocked');
  writeFileSync(folder, 'a file where the folder of the database should be');
  const database = join(folder, 'usage.db');
  const worker = await startWorker({ redisUrl: redis.url, database });
  const producer = produce(redis.url);
  for (let count = 0; count < 25; count += 1) producer.push(usageEvent());
  await expect.poll(() => worker.output(), patient).toContain('reporter fails');
  rmSync(folder);
  await expect.poll(() => requestsIn(database), patient).toBe(25);
});

test.each([
  ['SIGTERM', (child: ChildProcess) => child.kill('SIGTERM')],
  ['SIGINT', (child: ChildProcess) => child.kill('SIGINT')],
  ['the end of its parent', (child: ChildProcess) => child.disconnect()],
])('%s ends the worker in order, also while Redis is away', async (_, stop) => {
  const redis = await killableRedis();
  const { child } = await startWorker({ redisUrl: redis.url, database: join(freshFolder(), 'usage.db') });
  await redis.kill();
  expect(await ended(child, () => stop(child))).toEqual([0, null]);
});

/** What a worker that cannot start leaves behind. */
async function refusal(args: readonly string[]): Promise<{ code: number; output: string }> {
  const child = fork(new URL('main.ts', import.meta.url), args, {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: { ...process.env, LLMPROXY_REDIS_URL: '' },
  });
  let output = '';
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, output };
}

test('a mistake in the call ends the worker with a message that says how to call it', async () => {
  expect(await refusal(['--confg', 'x'])).toEqual({ code: 1, output: expect.stringContaining('--confg') });
});

test.each([
  ['a config with a mistake', 'backends: []', 'backends'],
  ['a config without Redis', 'backends: [{ url: http://127.0.0.1:9 }]', 'redis.url'],
])('%s ends the worker with the exit code for configs', async (_, yaml, told) => {
  const path = join(freshFolder(), 'config.yaml');
  writeFileSync(path, yaml);
  expect(await refusal(['--config', path])).toEqual({ code: 78, output: expect.stringContaining(told) });
});

test('a worker whose Redis may evict its queues is not ready and says why, until that is mended', async () => {
  const redis = await killableRedis();
  const { management } = await startWorker({ redisUrl: redis.url, webhookUrl: 'http://127.0.0.1:9' });
  const address = await management();
  const ready = async () => {
    const answer = await fetch(`${address}/readyz?verbose`);
    return `${answer.status} ${await answer.text()}`;
  };
  const admin = connectRedis({ url: redis.url, connectionName: 'spec', whenDown: 'queue' });
  onTestFinished(() => closeRedis(admin));
  await expect.poll(ready, patient).toMatch(/^200 (.*\n)*\[\+\]eviction ok\n/);
  await admin.config('SET', 'maxmemory', '1gb', 'maxmemory-policy', 'allkeys-lru');
  await expect.poll(ready, patient).toMatch(/^503 (.*\n)*\[-\]eviction Redis may evict .*allkeys-lru/);
  await admin.config('SET', 'maxmemory-policy', 'noeviction');
  await expect.poll(ready, patient).toMatch(/^200 /);
});
