import { play, startFakeBackend } from '@llmproxy/fake-backend';
import { redisClusterForTests, redisForTests } from '@llmproxy/real-services';
import { spawnRedisServer } from '@llmproxy/embedded-redis';
import { publishVerdict, readVerdicts, type HealthVerdict } from '@llmproxy/health-verdicts';
import { bullPrefix, closeRedis, connectRedis, type RedisTarget } from '@llmproxy/redis';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { openHealthChecks, type HealthChecksOptions, type ProbeOutcome, type ProbeRules } from './index.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const often: ProbeRules = {
  method: 'GET',
  path: '/health',
  expectedStatus: 200,
  intervalMs: 50,
  timeoutMs: 1_000,
  jitter: 0.1,
  unhealthyThreshold: 2,
  healthyThreshold: 2,
};
/** No second tick comes while a test runs. */
const rarely: ProbeRules = { ...often, intervalMs: 3_600_000 };

async function privateRedis(forTests = redisForTests): Promise<RedisTarget> {
  const place = await forTests();
  cleanups.push(() => place[Symbol.asyncDispose]());
  return place;
}

const kinds = [
  { kind: 'one server', forTests: redisForTests },
  { kind: 'a cluster', forTests: redisClusterForTests },
];

async function fakeBackend() {
  const backend = await startFakeBackend();
  cleanups.push(() => backend.close());
  return backend;
}

const waitMs = { timeout: 10_000, interval: 5 };
const until = (condition: () => boolean | Promise<boolean>) => vi.waitUntil(condition, waitMs);

/** Runs health checks, and shows what they found. */
function run(target: RedisTarget, backends: Record<string, string>, rules: ProbeRules) {
  const redis = connectRedis({ ...target, connectionName: 'spec', whenDown: 'queue' });
  const changes: HealthVerdict[] = [];
  const probes: ProbeOutcome[] = [];
  const options: HealthChecksOptions = {
    redis: target,
    backends: Object.entries(backends).map(([name, url]) => ({
      name,
      url,
      headers: { authorization: 'Bearer sk-canary' },
    })),
    rules,
    onProbe: (outcome) => probes.push(outcome),
    onChange: (verdict) => changes.push(verdict),
    log: () => undefined,
  };
  const checks = openHealthChecks(options);
  cleanups.push(() => closeRedis(redis));
  cleanups.push(() => checks.close());
  const verdict = async (name: string) => (await readVerdicts(redis)).get(name);
  return { ...checks, redis, changes, probes, verdict };
}

test('a backend is probed at once, then again and again, and its verdict is published', async () => {
  const backend = await fakeBackend();
  const { start, verdict, probes, changes } = run(await privateRedis(), { a: backend.url }, often);
  await start();
  await backend.arrived(4);
  await until(async () => (await verdict('a')) !== undefined);
  expect(await verdict('a')).toMatchObject({ backend: 'a', healthy: true, streak: 0, error: null });
  await until(() => probes.length >= 3);
  expect(probes[0]).toMatchObject({ backend: 'a', ok: true });
  expect(changes).toEqual([]); // it was thought healthy before, too
});

test.each(kinds)(
  'a backend that fails as often as the threshold says is unhealthy, until it recovers ($kind)',
  async ({ forTests }) => {
    const backend = await fakeBackend();
    backend.on('/health', play.bytes('', 'text/plain', { status: 500 }));
    const { start, changes, verdict } = run(await privateRedis(forTests), { a: backend.url }, often);
    await start();
    await until(() => changes.length === 1);
    expect(changes[0]).toMatchObject({ backend: 'a', healthy: false, error: 'answered 500 instead of 200' });
    expect((await verdict('a'))?.healthy).toBe(false);
    backend.on('/health', play.bytes('ok'));
    await until(() => changes.length === 2);
    expect(changes[1]).toMatchObject({ backend: 'a', healthy: true, error: null });
  },
);

test('a backend that hangs does not keep another one from being probed', async () => {
  const hanging = await fakeBackend();
  hanging.on('/health', play.hang());
  const well = await fakeBackend();
  const { start } = run(
    await privateRedis(),
    { hanging: hanging.url, well: well.url },
    { ...often, timeoutMs: 60_000 },
  );
  await start();
  await well.arrived(3);
  expect(hanging.requests).toHaveLength(1); // and one probe at a time is enough for it
});

test('a scheduler that starts later leaves a fresh verdict to the one that found it', async () => {
  const target = await privateRedis();
  const backend = await fakeBackend();
  const first = run(target, { a: backend.url }, rarely);
  await first.start();
  await until(async () => (await first.verdict('a')) !== undefined);
  await first.redis.del('lp:{b:a}:probe');
  const second = run(target, { a: backend.url }, rarely);
  await second.start();
  await second.close();
  expect(backend.requests).toHaveLength(1);
});

test.each(kinds)(
  'several schedulers that start together probe once, not once each ($kind)',
  async ({ forTests }) => {
    const target = await privateRedis(forTests);
    const backend = await fakeBackend();
    const schedulers = [1, 2, 3].map(() => run(target, { a: backend.url }, rarely));
    await Promise.all(schedulers.map(({ start }) => start()));
    const [first] = schedulers;
    await until(async () => (await first?.verdict('a')) !== undefined);
    await until(async () => (await first?.redis.exists(`${bullPrefix}:health:active`)) === 0);
    expect(backend.requests).toHaveLength(1);
  },
);

test('schedulers share the ticks: another one carries on when one is closed', async () => {
  const target = await privateRedis();
  const backend = await fakeBackend();
  const first = run(target, { a: backend.url }, often);
  const second = run(target, { a: backend.url }, often);
  await Promise.all([first.start(), second.start()]);
  await backend.arrived(2);
  await first.close();
  const before = backend.requests.length;
  await backend.arrived(before + 3);
});

test.each(kinds)(
  'a backend that is no longer configured has neither schedule nor verdict any more ($kind)',
  async ({ forTests }) => {
    const target = await privateRedis(forTests);
    const [kept, gone] = [await fakeBackend(), await fakeBackend()];
    const before = run(target, { kept: kept.url, '[::1]:8000': gone.url }, rarely);
    await before.start();
    await until(async () => (await before.verdict('[::1]:8000')) !== undefined);
    await before.close();

    const after = run(target, { kept: kept.url }, rarely);
    await after.start();
    expect(await after.verdict('[::1]:8000')).toBeUndefined();
    expect(await after.verdict('kept')).toBeDefined();
    expect(await after.redis.zrange(`${bullPrefix}:health:repeat`, 0, -1)).toEqual(['kept']);

    const none = run(target, {}, rarely);
    await none.start();
    expect(await none.redis.exists('lp:health')).toBe(0);
    expect(await none.redis.exists(`${bullPrefix}:health:repeat`)).toBe(0);
  },
);

test('a verdict too old for gateways is not built upon', async () => {
  const target = await privateRedis();
  const backend = await fakeBackend();
  const { start, redis, probes, verdict, changes } = run(target, { a: backend.url }, rarely);
  const checkedAtMs = Date.now() - 4 * rarely.intervalMs;
  const old = { backend: 'a', healthy: false, streak: 0, checkedAtMs, latencyMs: null, error: 'no answer' };
  await publishVerdict(redis, old);
  await start();
  await until(() => probes.length === 1);
  await until(async () => (await verdict('a'))?.healthy === true);
  expect(changes).toEqual([]);
});

test('a Redis that lost everything is given its schedules and verdicts again', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'llmproxy-spec-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  const spawn = async () => {
    const server = await spawnRedisServer({
      socket: join(folder, 'redis.sock'),
      stopSignal: 'SIGKILL',
      settings: { dir: folder, save: '' },
    });
    cleanups.push(() => server.stop());
    return server;
  };
  const first = await spawn();
  const backend = await fakeBackend();
  const { start, verdict, isWell } = run({ url: `unix://${folder}/redis.sock` }, { a: backend.url }, often);
  await start();
  await until(async () => (await verdict('a')) !== undefined);
  await first.stop();
  await until(() => !isWell());
  await spawn();
  const before = backend.requests.length;
  await backend.arrived(before + 3);
  await until(async () => (await verdict('a')) !== undefined);
});

test('a schedule that was lost is laid out again', async () => {
  const backend = await fakeBackend();
  const rules = { ...often, timeoutMs: often.intervalMs };
  const { start, redis } = run(await privateRedis(), { a: backend.url }, rules);
  await start();
  await backend.arrived(1);
  // As when a scheduler is killed just after it took a tick: nothing is queued any more.
  await until(async () => {
    await redis.del(`${bullPrefix}:health:delayed`, `${bullPrefix}:health:wait`);
    return (await redis.exists(`${bullPrefix}:health:active`)) === 0;
  });
  const before = backend.requests.length;
  await backend.arrived(before + 3);
});

test('no credential is kept in Redis', async () => {
  const backend = await fakeBackend();
  backend.on('/health', play.bytes('', 'text/plain', { status: 401 }));
  const { start, redis, changes } = run(await privateRedis(), { a: backend.url }, often);
  await start();
  await until(() => changes.length === 1);
  expect(backend.requests[0]?.header('authorization')).toBe('Bearer sk-canary');
  for (const key of await redis.keys('*')) {
    expect(key).not.toContain('canary');
    const dump = await redis.dumpBuffer(key); // null: it has expired meanwhile
    expect(dump?.toString('latin1') ?? '').not.toContain('canary');
  }
});

test('closing gives up probes that hang and waits that have just begun', async () => {
  const backend = await fakeBackend();
  backend.on('/health', play.hang());
  const { start, close, verdict } = run(
    await privateRedis(),
    { a: backend.url },
    { ...often, timeoutMs: 60_000 },
  );
  await start();
  const [request] = await backend.arrived(1);
  await close();
  await request?.aborted;
  expect(await verdict('a')).toBeUndefined();
});

test('closing does not wait for a Redis that is away', async () => {
  const { start, close } = run({ url: 'redis://127.0.0.1:1' }, { a: 'http://127.0.0.1:1' }, often);
  const started = start();
  started.catch(() => undefined);
  await close();
  await expect(started).rejects.toThrow();
});
