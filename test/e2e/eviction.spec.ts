/** A Redis that throws away what it holds: requests are served, keys come back, and no event is lost. */
import { openai, startFakeBackend } from '@llmproxy/fake-backend';
import { startRedis } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { bearer, outcomeOf } from './harness/authenticated.ts';
import { startApp } from './harness/child.ts';
import { databaseIn, startGateway, startWorker } from './harness/gateway.ts';
import { fetchText } from './harness/http-client.ts';
import { llmproxy } from './harness/refused-config.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';
import { usageRows } from './harness/usage-events.ts';

const resources = new AsyncDisposableStack();
afterAll(() => resources.disposeAsync());

test('under allkeys-random a key comes back, the state is told, and every event arrives once that is mended', async () => {
  const server = await startRedis();
  resources.defer(() => server.stop());
  const redis = connectRedis({ url: server.url, connectionName: 'spec', whenDown: 'queue' });
  resources.defer(() => closeRedis(redis));
  const { path: folder } = resources.use(tempFolder());
  const backend = resources.use(await startFakeBackend());
  backend.on('/v1/chat/completions', openai.chat());
  const gateway = await startGateway({
    folder,
    redisUrl: server.url,
    backends: [{ name: 'one', url: backend.url }],
    config: {
      auth: { pipeline: [{ name: 'issued', type: 'builtin' }], failure_limit: { enabled: false } },
      storage: { databases: [{ name: 'main', driver: 'sqlite', path: databaseIn(folder) }] },
      usage: { reporters: [{ name: 'sql', type: 'database', database: { storage: 'main' } }] },
    },
  });
  resources.use(gateway);
  const config = ['--config', `${folder}/config.yaml`];
  const scheduler = resources.use(startApp('scheduler', config, folder));
  const key = await llmproxy(folder, 'keys', 'add', '--name', 'ci');
  let admitted = 0;
  const serve = async (): Promise<boolean> => {
    const outcome = await outcomeOf(gateway.address, bearer(key));
    if (outcome === '200') admitted += 1;
    else expect(outcome).toBe('401 invalid_api_key');
    return outcome === '200';
  };
  resources.use(await startWorker(folder));
  await until('the key is known', serve);
  const copy = join(folder, 'data', 'keys', 'records.json');
  await until('a copy of the key is kept', () => readFileSync(copy, 'utf8').includes('sk-l'));

  const isAllInLedger = () => usageRows(databaseIn(folder)).length === admitted;
  await until('nothing is queued', isAllInLedger);
  const used = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
  await redis.config('SET', 'maxmemory', String(used + 4_000_000), 'maxmemory-policy', 'allkeys-random');
  const told = async (path: string) => (await fetchText(gateway.management, path)).text;
  await until('readyz tells of all workers', async () =>
    /^\[-\]eviction Redis may evict /m.test(await told('/readyz?verbose')),
  );
  await until('the metric tells', async () =>
    (await told('/metrics')).includes('llmproxy_redis_evicts{policy="allkeys-random"} 1\n'),
  );
  await until('the key was evicted and put back', async () => {
    const filling = redis.pipeline();
    for (let index = 0; index < 300; index++)
      filling.set(`of-somebody-else:${Math.random()}`, Buffer.alloc(10_000));
    await filling.exec();
    await serve();
    return scheduler.output.stdout.includes('Redis had lost keys');
  });
  await redis.config('SET', 'maxmemory', '0');
  let inARow = 0; // both workers know the key again
  await until('the key is known again', async () => {
    inARow = (await serve()) ? inARow + 1 : 0;
    return inARow === 20;
  });
  await until('every event is in the ledger', isAllInLedger);
});
