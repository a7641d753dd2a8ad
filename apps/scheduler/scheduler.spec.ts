import { play, startFakeBackend } from '@llmproxy/fake-backend';
import { limitKeys, transact } from '@llmproxy/limit-state';
import { redisForTests, startRedis } from '@llmproxy/real-services';
import { readVerdicts } from '@llmproxy/health-verdicts';
import { copyFileIn, readCopy } from '@llmproxy/key-copy';
import { findKeyRecord, hashOfKey, storeKeyRecord } from '@llmproxy/key-store';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'undici';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

let folder: string;
let redisUrl: string;
const cleanups: (() => unknown)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llmproxy-spec-'));
  const place = await redisForTests();
  redisUrl = place.url;
  cleanups.push(
    () => rm(folder, { recursive: true, force: true }),
    () => place[Symbol.asyncDispose](),
  );
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const until = (condition: () => boolean | Promise<boolean>) =>
  vi.waitUntil(condition, { timeout: 15_000, interval: 20 });

async function startScheduler(config: string, env: Record<string, string> = {}) {
  const path = join(folder, 'config.yaml');
  await writeFile(path, config);
  const socket = join(folder, 'management.sock');
  const main = new URL('./main.ts', import.meta.url);
  const child = fork(main, ['--config', path, '--management-listen', `unix:${socket}`], {
    execArgv: [],
    cwd: folder,
    env: { ...process.env, LLMPROXY_REDIS_URL: redisUrl, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  cleanups.push(() => end(child));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text) => (output += String(text)));
  return { child, socket, output: () => output };
}

async function untilReady(child: ChildProcess): Promise<void> {
  const [message] = (await once(child, 'message')) as [unknown];
  expect(message).toEqual({ ready: true });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function ask(socketPath: string, path: string): Promise<{ status: number; text: string }> {
  const client = new Client('http://localhost', { socketPath });
  try {
    const { statusCode, body } = await client.request({ method: 'GET', path });
    return { status: statusCode, text: await body.text() };
  } finally {
    await client.close();
  }
}

test('it probes the configured backends with their credential, tells changes, metrics and readiness', async () => {
  await using backend = await startFakeBackend({
    plays: { '/base/ping': play.bytes('', 'text/plain', { status: 500 }) },
  });
  const { child, socket, output } = await startScheduler(`
backends:
  - name: a
    url: ${backend.url}/base/v1
    api_key: sk-canary
health_check:
  interval: 50ms
  path: /ping
  unhealthy_threshold: 2
  healthy_threshold: 1
`);
  await untilReady(child);
  const [first] = await backend.arrived(1);
  expect([first?.target, first?.header('authorization')]).toEqual(['/base/ping', 'Bearer sk-canary']);

  const redis = connectRedis({ url: redisUrl, connectionName: 'spec', whenDown: 'queue' });
  cleanups.push(() => closeRedis(redis));
  const isHealthy = async (): Promise<boolean | undefined> => (await readVerdicts(redis)).get('a')?.healthy;
  await until(async () => (await isHealthy()) === false);
  backend.on('/base/ping', play.bytes('ok'));
  await until(async () => (await isHealthy()) === true);

  expect((await ask(socket, '/readyz')).status).toBe(200);
  const metrics = (await ask(socket, '/metrics')).text;
  expect(metrics).toMatch(/llmproxy_health_probes_total\{backend="a",result="failure"\} \d/);
  expect(metrics).toMatch(/llmproxy_health_probes_total\{backend="a",result="success"\} \d/);
  expect(metrics).toMatch(/llmproxy_health_probe_seconds_count\{backend="a"\} \d/);

  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
  const lines = output()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { msg: string; error?: string });
  const about = lines.filter(({ msg }) => msg.startsWith('backend is'));
  expect(about).toMatchObject([
    { error: 'answered 500 instead of 200' },
    { msg: 'backend is healthy again' },
  ]);
  expect(output()).not.toContain('canary');
});

test('it resets quotas whose period has passed, ends leases of gateways that are gone, and tells of both', async () => {
  const redis = connectRedis({ url: redisUrl, connectionName: 'spec', whenDown: 'queue' });
  cleanups.push(() => closeRedis(redis));
  const tag = 'k:0123456789abcdef0123456789abcdef';
  const dayMs = 86_400_000;
  const periodStartMs = Date.now() - 3 * dayMs;
  const quota = { total: 100, used: 70, periodStartMs, periodEndMs: periodStartMs + dayMs, shadow: false };
  const admit = { op: 'admit', id: 'request-1', tokens: 5, scopes: [0] } as const;
  await transact(redis, { leaseMs: 30_000, scopes: [{ tag, quota }], ops: [admit] }, periodStartMs + 1000);
  await redis.zadd(limitKeys.tags, periodStartMs + 1000, tag);

  const { child, socket, output } = await startScheduler('backends: [{ url: http://127.0.0.1:1 }]');
  await untilReady(child);
  await until(async () => /llmproxy_quota_resets_total 1$/m.test((await ask(socket, '/metrics')).text));
  expect((await ask(socket, '/metrics')).text).toMatch(/^llmproxy_leases_reaped_total 1$/m);
  expect(await redis.hmget(limitKeys.quota(tag), 'used', 'reserved')).toEqual(['0', '0']);
  await until(() => output().includes('quota reset'));
  expect(output()).toMatch(/"key_id":"0123456789abcdef0123456789abcdef".*"quota reset"/);
});

test('without health checks it runs and does nothing', async () => {
  await using backend = await startFakeBackend();
  const { child } = await startScheduler(`backends: [{ url: ${backend.url} }]`);
  await untilReady(child);
  child.disconnect();
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(backend.requests).toHaveLength(0);
});

test('it can be stopped while it still waits for Redis', async () => {
  const { child, socket, output } = await startScheduler('backends: [{ url: http://127.0.0.1:1 }]', {
    LLMPROXY_REDIS_URL: 'redis://127.0.0.1:1',
  });
  await until(() =>
    ask(socket, '/readyz?verbose').then(
      ({ text }) =>
        /^\[-]health failing since .*ECONNREFUSED.*\n\[-]limits failing since .*ECONNREFUSED.*\n.*\n\[-]keys failing since .*ECONNREFUSED/.test(
          text,
        ),
      () => false,
    ),
  );
  child.kill('SIGINT');
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(output()).toContain('scheduler stops');
});

test.each([
  ['a config with a mistake', 'backends: []', {}, 'backends'],
  [
    'a config without Redis',
    'backends: [{ url: http://127.0.0.1:1 }]',
    { LLMPROXY_REDIS_URL: '' },
    'redis.url',
  ],
])('%s is told, and nothing is started', async (_, config, env, told) => {
  const { child, output } = await startScheduler(config, env);
  expect(await once(child, 'close')).toEqual([78, null]);
  expect(output()).toContain(told);
});

test('it puts keys back that Redis has lost, and tells of those it is not sure of', async () => {
  const server = await startRedis(); // of our own: messages cross the logical databases that specs share
  const redis = connectRedis({ url: server.url, connectionName: 'spec', whenDown: 'queue' });
  cleanups.push(
    () => server.stop(),
    () => closeRedis(redis),
  );
  const sha256 = hashOfKey('sk-canary-0123456789');
  const { child, socket, output } = await startScheduler('backends: [{ url: "http://127.0.0.1:9" }]', {
    LLMPROXY_REDIS_URL: server.url,
  });
  await untilReady(child);
  const times = { created_at: '2026-01-15T00:00:00Z', updated_at: '2026-01-15T00:00:00Z' };
  await storeKeyRecord(redis, sha256, { name: 'ci', masked_key: 'sk-c***6789', status: 'active', ...times });
  await until(async () => (await readCopy(copyFileIn(join(folder, 'data'))))?.records.has(sha256) ?? false);
  await redis.flushall();
  await until(async () => (await findKeyRecord(redis, sha256)) !== undefined);
  expect((await ask(socket, '/metrics')).text).toContain('llmproxy_keys_restored_total 1\n');
  await until(() => output().includes('Redis had lost keys; they are restored'));
  const latest = async () => (await readCopy(copyFileIn(join(folder, 'data'))))?.latest;
  await until(async () => (await latest()) === (await redis.hget('lp:keys:changes', 'latest')));
  await redis.del(`lp:keys:${sha256}`);
  await until(async () => (await ask(socket, '/readyz?verbose')).text.includes('[-]keys 1 key is missing'));
  expect((await ask(socket, '/metrics')).text).toContain('llmproxy_keys_in_doubt 1\n');
  expect((await ask(socket, '/readyz')).status).toBe(200);
  expect(output()).not.toContain('sk-canary');
});
