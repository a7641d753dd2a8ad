import { startRedisPair, type RedisPair } from '@llmproxy/real-services';
import { Queue, Worker } from 'bullmq';
import { expect, onTestFinished, test, vi } from 'vitest';
import { bullPrefix, closeRedis, connectForQueues, connectRedis, followChannel } from './index.ts';
import type { RedisClient } from './index.ts';

const patient = { timeout: 20_000, interval: 20 };

async function pair(): Promise<RedisPair> {
  const servers = await startRedisPair();
  onTestFinished(() => servers.stop());
  return servers;
}

function connect({ url }: RedisPair, whenDown: 'queue' | 'fail'): RedisClient {
  const redis = connectRedis({ url, connectionName: 'spec', whenDown });
  onTestFinished(() => closeRedis(redis));
  return redis;
}

test('after a failover behind a fixed address a refused write makes a connection that finds the new primary', async () => {
  const servers = await pair();
  const redis = connect(servers, 'fail');
  await vi.waitUntil(() => redis.status === 'ready', patient);
  await redis.set('count', '1');
  await servers.failOver();
  await expect(redis.incr('count')).rejects.toThrow(/^READONLY/);
  await vi.waitUntil(() => redis.status === 'ready', patient);
  await vi.waitUntil(
    () =>
      redis.incr('count').then(
        () => true,
        () => false,
      ),
    patient,
  );
  expect(await redis.get('count')).toBe('2');
});

test('a write that may wait is made on the new primary, and a transaction is made whole or not at all', async () => {
  const servers = await pair();
  const redis = connect(servers, 'queue');
  await redis.set('count', '1');
  const script = `return redis.call('incr', KEYS[1])`;
  await servers.failOver();
  const moved = redis.multi().set('half', 'yes').publish('news', 'half').exec();
  await expect(moved).rejects.toThrow(/READONLY|EXECABORT/);
  expect(await redis.eval(script, 1, 'count')).toBe(2);
  expect(await redis.get('half')).toBeNull();
  await servers.failOver();
  expect(await redis.eval(script, 1, 'count')).toBe(3);
});

test('news are heard from the new primary', async () => {
  const servers = await pair();
  const heard: string[] = [];
  const following = followChannel(connect(servers, 'queue'), 'news', (message) => heard.push(message));
  onTestFinished(() => following.close());
  const redis = connect(servers, 'queue');
  await servers.failOver();
  await redis.eval(`return redis.call('incr', KEYS[1])`, 1, 'count');
  await vi.waitUntil(async () => {
    await redis.publish('news', 'after');
    return heard.includes('after');
  }, patient);
});

test('BullMQ works on through failovers', async () => {
  const servers = await pair();
  const connection = connectForQueues({ ...servers, connectionName: 'spec' });
  onTestFinished(() => closeRedis(connection));
  const queue = new Queue('greetings', { connection, prefix: bullPrefix });
  const seen = new Set<string>();
  const worker = new Worker('greetings', (job) => Promise.resolve(void seen.add(job.name)), {
    connection,
    prefix: bullPrefix,
  });
  queue.on('error', () => undefined);
  worker.on('error', () => undefined);
  onTestFinished(() => queue.close());
  onTestFinished(() => worker.close(true));
  for (const job of ['first', 'second', 'third']) {
    await queue.add(job, {});
    await vi.waitUntil(() => seen.has(job), patient);
    await servers.failOver();
  }
});
