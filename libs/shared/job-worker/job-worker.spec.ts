import { startFixedAddress, startRedis, startRedisCluster } from '@llmproxy/real-services';
import { bullPrefix, closeRedis, connectForQueues, type RedisClient } from '@llmproxy/redis';
import { atMost } from '@llmproxy/time';
import { Queue } from 'bullmq';
import { Cluster } from 'ioredis';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openJobWorker, type JobWorkerOptions } from './index.ts';

const patient = { timeout: 25_000, interval: 20 };
const queueName = 'greetings';

/** A worker of short patience, what it handled and what it told. */
async function work(connection: RedisClient, options: Partial<JobWorkerOptions<unknown>> = {}) {
  const handled: string[] = [];
  const log = vi.fn();
  const worker = openJobWorker({
    queue: queueName,
    connection,
    handle: (job) => Promise.resolve(void handled.push(job.name)),
    bullMq: { drainDelay: 0.1, runRetryDelay: 100 },
    log,
    silentMsMax: 2_400,
    ...options,
  });
  onTestFinished(() => atMost(worker.close(), 1_000)); // it waits for a server that is away
  await worker.ready();
  return { worker, handled, log };
}

function connect(target: { url: string; cluster?: boolean }): RedisClient {
  const connection = connectForQueues({ ...target, connectionName: 'spec' });
  onTestFinished(() => closeRedis(connection));
  return connection;
}

async function add(job: string, target: { url: string; cluster?: boolean }): Promise<void> {
  const queue = new Queue(queueName, { connection: connect(target), prefix: bullPrefix });
  queue.on('error', () => undefined);
  await queue.add(job, {});
  await queue.close();
}

const told = [
  ['warn', 'queue greetings: no job was asked for in 2 s; the connection to Redis is made anew'],
  ['info', 'queue greetings: jobs are asked for again'],
];

test('a worker whose connections a firewall has forgotten says so, makes them anew and works on', async () => {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const address = await startFixedAddress(new URL(server.url).pathname);
  onTestFinished(() => address.close());
  const { worker, handled, log } = await work(connect({ url: `redis://127.0.0.1:${address.port}` }));
  await add('before', server);
  await vi.waitUntil(() => handled.includes('before'), patient);
  address.forgetConnections();
  await add('after', server);
  await vi.waitUntil(() => !worker.isWell(), patient);
  // That no job was asked for, or already that the connection is being made anew.
  expect(worker.found()).toMatch(/^failing since /);
  await vi.waitUntil(() => handled.includes('after') && worker.isWell(), patient);
  expect(worker.found()).toMatch(/^ok; failed last at/);
  expect(log.mock.calls).toEqual(told);
});

test('a worker that has stopped asking although Redis answers is replaced', async () => {
  const cluster = await startRedisCluster({ settings: { 'cluster-require-full-coverage': 'yes' } });
  onTestFinished(() => cluster.stop());
  // The plain one of ioredis: its connect() is never settled when the cluster serves nobody for a while.
  const seeds = cluster.masters.map(({ port }) => ({ host: '127.0.0.1', port }));
  const plain = new Cluster(seeds, { maxRedirections: Infinity, clusterRetryStrategy: () => 100 });
  onTestFinished(() => closeRedis(plain));
  const { worker, handled, log } = await work(plain);
  const holder = await cluster.masterOf(bullPrefix);
  const other = cluster.masters.find((master) => master !== holder);
  await other?.kill();
  await vi.waitUntil(() => !worker.isWell(), patient);
  await other?.restart();
  await add('after', { url: cluster.url, cluster: true });
  await vi.waitUntil(() => handled.includes('after') && worker.isWell(), patient);
  expect(log.mock.calls).toEqual(told);
});

test('a worker all of whose slots are taken for long is well', async () => {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const connection = connect(server);
  const finished = Promise.withResolvers<void>();
  const begun = vi.fn();
  const handle = (): Promise<void> => {
    begun();
    return finished.promise;
  };
  const { worker, log } = await work(connection, { handle, bullMq: { lockDuration: 600 } });
  await add('long', server);
  await vi.waitUntil(() => begun.mock.calls.length > 0, patient);
  const scripts = async (): Promise<number> =>
    Number(/cmdstat_evalsha:calls=(\d+)/.exec(await connection.info('commandstats'))?.[1]);
  const before = await scripts();
  // It renews its lock each 300 ms, and does nothing else.
  await vi.waitUntil(async () => (await scripts()) >= before + 12, patient);
  expect([worker.isWell(), worker.found()]).toEqual([true, 'ok']);
  expect(log).not.toHaveBeenCalled();
  finished.resolve();
});

test('a server that is away makes it fail, and is told by the connection alone', async () => {
  const server = await startRedis();
  const { worker, log } = await work(connect(server));
  await server.stop();
  await vi.waitUntil(() => !worker.isWell(), patient);
  await expect
    .poll(() => worker.found(), patient)
    .toMatch(/^failing since .*: no connection to Redis: connect E/);
  expect(log).not.toHaveBeenCalled();
});
