import { redisClusterForTests, startRedisCluster, type RedisCluster } from '@llmproxy/real-services';
import { Queue, Worker } from 'bullmq';
import { expect, onTestFinished, test, vi } from 'vitest';
import { bullPrefix, closeRedis, connectForQueues, connectRedis } from './index.ts';

const patient = { timeout: 20_000, interval: 20 };
/** One on each master: the slots of `b` are among the first third, those of `c` among the second. */
const keys = ['b', 'c', 'a'];

function connect(connection: Omit<Parameters<typeof connectRedis>[0], 'connectionName' | 'cluster'>) {
  const redis = connectRedis({ ...connection, connectionName: 'spec', cluster: true });
  onTestFinished(() => closeRedis(redis));
  return redis;
}

async function sharedCluster() {
  const cluster = await redisClusterForTests();
  onTestFinished(() => cluster[Symbol.asyncDispose]());
  return cluster;
}

/** One of the test's own, whose masters may be killed. */
async function ownCluster(settings?: Record<string, string>): Promise<RedisCluster> {
  const cluster = await startRedisCluster({ settings });
  onTestFinished(() => cluster.stop());
  return cluster;
}

const ready = (redis: ReturnType<typeof connectRedis>) =>
  vi.waitUntil(() => redis.status === 'ready', patient);

test('any server of a cluster leads to all of it', async () => {
  const { url } = await sharedCluster();
  const [seed = ''] = url.split(',');
  const redis = connect({ url: seed, whenDown: 'queue' });
  for (const key of keys) await redis.set(key, `value of ${key}`);
  expect(await Promise.all(keys.map((key) => redis.get(key)))).toEqual(keys.map((key) => `value of ${key}`));
});

test('seeds that are dead, or named without a scheme, do not keep a cluster from being found', async () => {
  const { url } = await sharedCluster();
  const [seed = ''] = url.split(',');
  const redis = connect({ url: `redis://127.0.0.1:1,${seed.slice('redis://'.length)}`, whenDown: 'queue' });
  expect(await redis.set('b', 'value')).toBe('OK');
});

test('once ready, many commands at a time to servers not spoken to before all pass', async () => {
  const redis = connect({ url: (await sharedCluster()).url });
  await ready(redis);
  const answers = await Promise.all([...keys, ...keys, ...keys].map((key) => redis.incr(key)));
  expect(answers.toSorted()).toEqual([1, 1, 1, 2, 2, 2, 3, 3, 3]);
});

test('a cluster that is down is told once with the reason, and commands are refused at once', async () => {
  const log = vi.fn();
  const redis = connect({ url: 'redis://:secret@127.0.0.1:1', log });
  await expect(redis.get('a')).rejects.toThrow('no connection to the Redis Cluster');
  await vi.waitUntil(() => log.mock.calls.length > 0, patient);
  expect(log.mock.calls).toEqual([
    ['warn', 'Redis Cluster at redis://***@127.0.0.1:1: 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1'],
  ]);
});

test('with one master dead, commands for its slots fail at once and the others pass, until it is back', async () => {
  const { url, masterOf } = await ownCluster();
  const log = vi.fn();
  const redis = connect({ url, log, commandTimeoutMs: 500 });
  await ready(redis);
  await Promise.all(keys.map((key) => redis.set(key, 'value')));
  const dead = await masterOf('a');
  await dead.kill();
  await expect(redis.get('a')).rejects.toThrow();
  await expect(redis.get('a')).rejects.toThrow();
  expect(await Promise.all([redis.get('b'), redis.get('c')])).toEqual(['value', 'value']);
  await dead.restart();
  await vi.waitUntil(
    () =>
      redis.get('a').then(
        () => true,
        () => false,
      ),
    patient,
  );
  const address = `127.0.0.1:${dead.port}`;
  await vi.waitUntil(() => log.mock.calls.length === 3, patient);
  expect(log.mock.calls).toEqual([
    ['info', `connected to the Redis Cluster at ${url}`],
    ['warn', `${address} of the Redis Cluster: connect ECONNREFUSED ${address}`],
    ['info', `${address} of the Redis Cluster is back`],
  ]);
});

test('a master that hangs does not keep connections from getting ready', async () => {
  const { url, masters } = await ownCluster();
  const server = connectRedis({
    url: `redis://127.0.0.1:${masters[0]?.port}`,
    connectionName: 'spec',
    whenDown: 'queue',
  });
  const pid = Number(/process_id:(\d+)/.exec(await server.info('server'))?.[1]);
  await closeRedis(server);
  process.kill(pid, 'SIGSTOP');
  // Each asks one of the three, drawn by lot, whether the cluster is well.
  const connections = Array.from({ length: 8 }, () => connect({ url, whenDown: 'queue' }));
  await vi.waitUntil(() => connections.every(({ status }) => status === 'ready'), patient);
  process.kill(pid, 'SIGCONT');
});

test('a command that may wait is served when the dead master is back', async () => {
  const { url, masterOf } = await ownCluster();
  const redis = connect({ url, whenDown: 'queue' });
  await redis.set('a', 'value');
  const dead = await masterOf('a');
  await dead.kill();
  const answer = redis.incr('{a}counter');
  await expect(Promise.race([answer, redis.get('b')])).resolves.toBeNull();
  await dead.restart();
  expect(await answer).toBe(1);
});

test('a connection survives an outage of the whole cluster, waiting commands and subscriptions included', async () => {
  const { url, masters, masterOf } = await ownCluster();
  const redis = connect({ url, whenDown: 'queue' });
  const subscriber = connect({ url, whenDown: 'queue' });
  const heard: string[] = [];
  subscriber.on('message', (_channel: string, message: string) => heard.push(message));
  await subscriber.subscribe('news');
  const underWay = connect({ url, whenDown: 'queue' }).blpop('list', 0);
  const { port } = await masterOf('list');
  const server = connectRedis({
    url: `redis://127.0.0.1:${port}`,
    connectionName: 'spec',
    whenDown: 'queue',
  });
  await vi.waitUntil(async () => (await server.info('clients')).includes('blocked_clients:1'), patient);
  await closeRedis(server);
  await Promise.all(masters.map((master) => master.kill()));
  await vi.waitUntil(() => redis.status === 'reconnecting', patient);
  const waiting = redis.set('a', 'value');
  await Promise.all(masters.map((master) => master.restart()));
  expect(await waiting).toBe('OK');
  await redis.lpush('list', 'item');
  expect(await underWay).toEqual(['list', 'item']);
  await vi.waitUntil(async () => {
    await redis.publish('news', 'after');
    return heard.includes('after');
  }, patient);
});

test('closing rejects what still waits for an answer', async () => {
  const redis = connect({ url: (await sharedCluster()).url, whenDown: 'queue' });
  await ready(redis);
  const underWay = keys.map((key) => redis.blpop(key, 0));
  const ends = Promise.allSettled(underWay);
  redis.disconnect();
  expect((await ends).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  await expect(redis.get('a')).rejects.toThrow();
});

test('closing does not wait for a cluster that is down, and neither do its commands', async () => {
  const redis = connectRedis({
    url: 'redis://127.0.0.1:1',
    cluster: true,
    connectionName: 'spec',
    whenDown: 'queue',
  });
  const answer = redis.get('a');
  answer.catch(() => undefined);
  await vi.waitUntil(() => redis.status === 'reconnecting', patient);
  await closeRedis(redis);
  await expect(answer).rejects.toThrow();
});

/** A queue and its worker. `drainDelay`: how long a question for a job may wait for one, in s. */
async function withBullMq(url: string, drainDelay: number) {
  const connection = connectForQueues({ url, cluster: true, connectionName: 'spec' });
  onTestFinished(() => closeRedis(connection));
  const queue = new Queue('greetings', { connection, prefix: bullPrefix });
  const seen: string[] = [];
  const worker = new Worker('greetings', (job) => Promise.resolve(void seen.push(job.name)), {
    connection,
    prefix: bullPrefix,
    runRetryDelay: 100,
    drainDelay,
  });
  queue.on('error', () => undefined);
  worker.on('error', () => undefined);
  onTestFinished(() => queue.close());
  onTestFinished(() => worker.close(true));
  const isDone = async (job: string) => {
    await queue.add(job, {});
    await vi.waitUntil(() => seen.includes(job), patient);
  };
  await isDone('before');
  return { connection, isDone, reader: await worker.getBackend().blockingClient };
}

test('BullMQ works on a cluster through an outage of all of it', async () => {
  const { url, masters } = await ownCluster({ appendonly: 'yes', appendfsync: 'always' });
  const { connection, isDone } = await withBullMq(url, 5);
  let attempts = 0;
  connection.on('reconnecting', () => (attempts += 1));
  await Promise.all(masters.map((master) => master.kill()));
  await vi.waitUntil(() => attempts >= 7, patient);
  await Promise.all(masters.map((master) => master.restart()));
  await isDone('after');
});

test('BullMQ works on after a time in which the cluster served nobody for want of another server', async () => {
  const { url, masters, masterOf } = await ownCluster({ 'cluster-require-full-coverage': 'yes' });
  const { isDone, reader } = await withBullMq(url, 0.5);
  const holder = await masterOf(bullPrefix);
  const other = masters.find((master) => master !== holder);
  let refusals = 0;
  reader?.on('reconnecting', () => (refusals += 1));
  await other?.kill();
  // It waits for a job longer than it meant to, closes its connection and makes another, which the cluster refuses.
  await vi.waitUntil(() => refusals > 0, patient);
  await other?.restart();
  await isDone('after');
});
