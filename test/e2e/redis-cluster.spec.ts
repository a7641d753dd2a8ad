/** Every app on a Redis Cluster of three masters. */
import { openai, play, startFakeBackend } from '@llmproxy/fake-backend';
import { startRedisCluster } from '@llmproxy/real-services';
import { bullPrefix, redisKeys } from '@llmproxy/redis';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { startApp } from './harness/child.ts';
import { databaseIn, startGateway, startWorker } from './harness/gateway.ts';
import { fetchText } from './harness/http-client.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';

const chat = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };

test('requests are served, recorded and routed by health on a cluster, and while one of its masters is dead', async () => {
  await using folder = tempFolder();
  await using backend = await startFakeBackend();
  await using sick = await startFakeBackend();
  const cluster = await startRedisCluster({ settings: { appendonly: 'yes', appendfsync: 'always' } });
  await using _ = { [Symbol.asyncDispose]: () => cluster.stop() };
  for (const one of [backend, sick]) one.on('/v1/chat/completions', openai.chat());
  sick.on('/health', play.bytes('', 'text/plain', { status: 500 }));
  await using gateway = await startGateway({
    folder: folder.path,
    redisUrl: cluster.url,
    backends: [
      { name: 'well', url: backend.url },
      { name: 'sick', url: sick.url },
    ],
    config: {
      redis: { url: cluster.url, cluster: true },
      server: { workers: 1 },
      health_check: { interval: '50ms', jitter: 0, path: '/health', unhealthy_threshold: 1 },
    },
  });
  await using _scheduler = startApp('scheduler', ['--config', `${folder.path}/config.yaml`], folder.path);
  await using _worker = await startWorker(folder.path);
  let sent = 0;
  const serve = async () => {
    sent += 1;
    return (await fetchText(gateway.address, '/v1/chat/completions', { body: chat })).status;
  };
  const rows = () => {
    using database = new DatabaseSync(databaseIn(folder.path), { readOnly: true });
    return Number(database.prepare('SELECT count(*) AS rows FROM usage_records').get()?.['rows']);
  };
  const chats = () => sick.requests.filter(({ target }) => target !== '/health').length;
  await until('the sick backend gets no requests', async () => {
    const before = chats();
    for (let count = 0; count < 4; count += 1) expect(await serve()).toBe(200);
    return chats() === before;
  });
  await until('all requests are recorded', () => rows() === sent);

  for (const key of [redisKeys.health, bullPrefix]) {
    const master = await cluster.masterOf(key);
    await master.kill();
    expect(await Promise.all([serve(), serve(), serve()])).toEqual([200, 200, 200]);
    await master.restart();
    await until(`all is recorded again after the loss of the master of ${key}`, () => rows() === sent);
  }
}, 120_000);
