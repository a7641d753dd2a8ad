import { spawnRedisServer } from '@llmproxy/embedded-redis';
import { startRedisCluster } from '@llmproxy/real-services';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { checkConnection, closeRedis, connectRedis } from './index.ts';

const patient = { timeout: 20_000, interval: 20 };

function watch(connection: { url: string; cluster?: boolean }) {
  const redis = connectRedis({ ...connection, connectionName: 'spec' });
  onTestFinished(() => closeRedis(redis));
  return checkConnection(redis);
}

test('a connection that is lost says since when and why, and afterwards what was the matter', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'llmproxy-spec-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const socket = join(folder, 'redis.sock');
  const start = async () => {
    const server = await spawnRedisServer({ socket, settings: { dir: folder }, stopSignal: 'SIGKILL' });
    onTestFinished(() => server.stop());
    return server;
  };
  const found = watch({ url: `unix://${socket}` });
  expect(found()).toMatch(/^not connected/);
  const server = await start();
  await expect.poll(found, patient).toMatch(/^ok/);
  await server.stop();
  await expect.poll(found, patient).toMatch(/^failing since \d{4}-.*Z: connect E(NOENT|CONNREFUSED) /);
  await start();
  await expect.poll(found, patient).toMatch(/^ok; failed last at \d{4}-.*Z: connect E(NOENT|CONNREFUSED) /);
});

test('of a cluster the masters that are away are named while the others serve', async () => {
  const cluster = await startRedisCluster({ settings: { 'cluster-require-full-coverage': 'no' } });
  onTestFinished(() => cluster.stop());
  const found = watch({ url: cluster.url, cluster: true });
  await expect.poll(found, patient).toBe('ok');
  const dead = await cluster.masterOf('a');
  await dead.kill();
  await expect.poll(found, patient).toMatch(/^a part of the cluster is away: 127\.0\.0\.1:\d+$/);
  await dead.restart();
  await expect.poll(found, patient).toMatch(/^ok/);
});
