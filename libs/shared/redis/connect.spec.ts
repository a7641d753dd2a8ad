import { Queue, Worker } from 'bullmq';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect as dial, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { spawnRedisServer } from '@llmproxy/embedded-redis';
import { bullPrefix, closeRedis, connectForQueues, connectRedis, redactRedisUrl } from './index.ts';

let folder: string;
let socket: string;
const url = () => `unix://${socket}`;
const cleanups: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llmproxy-spec-'));
  socket = join(folder, 'redis.sock');
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await rm(folder, { recursive: true, force: true });
});

async function startRedis(settings: Record<string, string> = {}) {
  const server = await spawnRedisServer({
    socket,
    stopSignal: 'SIGKILL',
    settings: { dir: folder, save: '', ...settings },
  });
  cleanups.push(() => server.stop());
  return server;
}

function connect(...args: Parameters<typeof connectRedis>) {
  const redis = connectRedis(...args);
  cleanups.push(() => closeRedis(redis));
  return redis;
}

test('a server that is down is waited for, and told once', async () => {
  const log = vi.fn();
  const redis = connect({ url: url(), connectionName: 'spec', whenDown: 'queue', log });
  const answer = redis.set('greeting', 'hello');
  await vi.waitUntil(() => redis.status === 'reconnecting');
  await startRedis();
  expect(await answer).toBe('OK');
  expect(log.mock.calls).toEqual([
    ['warn', `Redis at unix://${socket}: connect ENOENT ${socket}`],
    ['info', `connected to Redis at unix://${socket}`],
  ]);
});

test('a connection survives a restart of the server', async () => {
  const log = vi.fn();
  const first = await startRedis();
  const redis = connect({ url: url(), connectionName: 'spec', whenDown: 'queue', log });
  await redis.ping();
  await first.stop();
  await startRedis();
  expect(await redis.ping()).toBe('PONG');
  const levels = log.mock.calls.map(([level]) => level as string);
  expect([levels[0], levels[1], levels.at(-1)]).toEqual(['info', 'warn', 'info']);
});

test('whoever would rather do without Redis is refused at once while it is down', async () => {
  const redis = connect({ url: url(), connectionName: 'spec' });
  await expect(redis.get('greeting')).rejects.toThrow();
  const server = await startRedis();
  await vi.waitUntil(() => redis.status === 'ready');
  expect(await redis.get('greeting')).toBeNull();
  const underWay = redis.blpop('nothing', 0);
  underWay.catch(() => undefined);
  await server.stop();
  await expect(underWay).rejects.toThrow();
});

test('a command that Redis does not answer in time is rejected', async () => {
  await startRedis();
  const redis = connect({ url: url(), connectionName: 'spec', commandTimeoutMs: 50, whenDown: 'queue' });
  await redis.ping();
  await expect(redis.blpop('nothing', 0)).rejects.toThrow('Command timed out');
});

test('a database number is honoured in a socket URL', async () => {
  await startRedis();
  const redis = connect({ url: `${url()}?db=3`, connectionName: 'spec', whenDown: 'queue' });
  expect(await redis.client('INFO')).toMatch(/name=spec .*db=3/);
});

test('a refused password is told without being shown', async () => {
  // TCP in front of the socket, because only a host URL carries a password.
  await startRedis({ requirepass: 'right-secret' });
  const bridge = createServer((client) => {
    const server = dial(socket);
    client.on('error', () => server.destroy()).pipe(server);
    server.on('error', () => client.destroy()).pipe(client);
  });
  await new Promise<void>((resolve) => bridge.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => new Promise((resolve) => bridge.close(resolve)));
  const log = vi.fn();
  const { port } = bridge.address() as AddressInfo;
  connect({ url: `redis://:wrong-secret@127.0.0.1:${port}`, connectionName: 'spec', log });
  await vi.waitUntil(() => log.mock.calls.some(([, message]) => /WRONGPASS/.test(String(message))));
  expect(JSON.stringify(log.mock.calls)).not.toContain('wrong-secret');
  expect(JSON.stringify(log.mock.calls)).toContain(`redis://***@127.0.0.1:${port}`);
});

test('closing does not wait for a server that is down', async () => {
  const redis = connectRedis({ url: url(), connectionName: 'spec', whenDown: 'queue' });
  await closeRedis(redis);
  expect(redis.status).not.toBe('ready');
});

test('BullMQ works on a connection for queues, through a restart of the server', async () => {
  const server = await startRedis({ appendonly: 'yes' });
  const connection = connectForQueues({ url: url(), connectionName: 'spec' });
  cleanups.push(() => closeRedis(connection));
  const queue = new Queue('greetings', { connection, prefix: bullPrefix });
  const seen: string[] = [];
  const worker = new Worker('greetings', (job) => Promise.resolve(void seen.push(job.name)), {
    connection,
    prefix: bullPrefix,
  });
  queue.on('error', () => undefined);
  worker.on('error', () => undefined);
  cleanups.push(
    () => queue.close(),
    () => worker.close(true),
  );
  await queue.add('before', {});
  await vi.waitUntil(() => seen.includes('before'));
  await server.stop();
  await startRedis({ appendonly: 'yes' });
  await queue.add('after', {});
  await vi.waitUntil(() => seen.includes('after'), 10_000);
});

test.each([
  ['redis://user:secret@host:6379/2', 'redis://***@host:6379/2'],
  ['rediss://:secret@host', 'rediss://***@host'],
  ['redis://host?password=secret', 'redis://host'],
  ['unix:///run/redis.sock?db=1', 'unix:///run/redis.sock'],
  ['secret', '(unreadable Redis URL)'],
  ['redis://:a,b@c:1', 'redis://***@c:1'],
  ['redis://:secret@a:1,redis://:other@b:2', 'redis://***@a:1,redis://***@b:2'],
  ['rediss://user:secret@a:1,b:2,[::1]:3', 'rediss://***@a:1,b:2,[::1]:3'],
])('%s is shown as %s', (full, shown) => {
  expect(redactRedisUrl(full)).toBe(shown);
});

test.each(['http://host:6379', 'host:6379', '/run/redis.sock', 'redis:host'])(
  '%s is refused as a Redis URL',
  (wrong) => {
    expect(() => connectRedis({ url: wrong, connectionName: 'spec' })).toThrow(
      'is not a Redis URL: write redis://',
    );
  },
);
