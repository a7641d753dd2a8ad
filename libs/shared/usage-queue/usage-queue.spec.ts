import { spawnRedisServer } from '@llmproxy/embedded-redis';
import {
  redisClusterForTests,
  redisForTests,
  startRedisCluster,
  startRedisPair,
} from '@llmproxy/real-services';
import { bullPrefix, closeRedis, connectRedis, type RedisClient, type RedisTarget } from '@llmproxy/redis';
import { Queue } from 'bullmq';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openUsageConsumer, openUsageProducer, queueDepth, usageQueueName } from './index.ts';
import type { UsageProducer, UsageProducerOptions } from './index.ts';
import { usageEvent } from './testing/usage-event.ts';
import type { UsageEvent } from './usage-event.ts';

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
const patient = { timeout: 25_000 };

function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'uq-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function freshRedis(forTests = redisForTests): Promise<RedisTarget> {
  const redis = await forTests();
  onTestFinished(() => redis[Symbol.asyncDispose]());
  return redis;
}

const kinds = [
  { kind: 'one server', forTests: redisForTests },
  { kind: 'a cluster', forTests: redisClusterForTests },
];

const durable = { appendonly: 'yes', appendfsync: 'always' };

/** A Redis of its own that can be killed and started again on its data. */
async function killableRedis() {
  const dir = freshFolder();
  const socket = join(dir, 'r.sock');
  const settings = { dir, save: '', ...durable };
  const start = () => spawnRedisServer({ socket, settings, stopSignal: 'SIGKILL' });
  let server = await start();
  onTestFinished(() => server.stop());
  return {
    url: `unix://${socket}`,
    cluster: false,
    kill: () => server.stop(),
    restart: async () => void (server = await start()),
  };
}

/** A cluster whose server with the queues can be killed and started again on its data. */
async function killableCluster() {
  const { url, masterOf, stop } = await startRedisCluster({ settings: durable });
  onTestFinished(stop);
  const master = await masterOf(bullPrefix);
  return { url, cluster: true, kill: () => master.kill(), restart: () => master.restart() };
}

function produce(redis: RedisTarget, options: Partial<UsageProducerOptions> = {}) {
  const producer = openUsageProducer({ redis, spoolDir: freshFolder(), log: silent, ...options });
  onTestFinished(() => producer.close());
  return producer;
}

/** How often each event was handled, by its id. */
async function consume(redis: RedisTarget, refuseFirst = 0): Promise<Map<string, number>> {
  const handled = new Map<string, number>();
  let refused = 0;
  const consumer = openUsageConsumer({
    redis,
    log: silent,
    handle: (events) => {
      if (refused < refuseFirst) {
        refused += 1;
        return Promise.reject(new Error('not now'));
      }
      for (const { event_id } of events) handled.set(event_id, (handled.get(event_id) ?? 0) + 1);
      return Promise.resolve();
    },
  });
  onTestFinished(() => consumer.close(1_000));
  await consumer.ready();
  return handled;
}

const someEvents = (count: number) => Array.from({ length: count }, () => usageEvent());
const onceEach = (events: readonly UsageEvent[]) => new Map(events.map(({ event_id }) => [event_id, 1]));

async function depth(target: RedisTarget): Promise<number> {
  const redis = connectRedis({ ...target, connectionName: 'spec', whenDown: 'queue' });
  return queueDepth(redis, usageQueueName).finally(() => closeRedis(redis));
}

test.each(kinds)('every event that was pushed is handled once, in batches ($kind)', async ({ forTests }) => {
  const redis = await freshRedis(forTests);
  const handled = await consume(redis);
  const producer = produce(redis);
  const events = someEvents(1_050);
  for (const event of events) producer.push(event);
  await producer.flush();
  expect(producer.pending()).toBe(0);
  expect(producer.counts()).toMatchObject({ sent: 1_050, spooled: 0, dropped: 0 });
  await expect.poll(() => handled, patient).toEqual(onceEach(events));
  await expect.poll(() => depth(redis), patient).toBe(0);
});

test.each(kinds)(
  'a batch that is sent again is queued once, even when it has been handled meanwhile ($kind)',
  async ({ forTests }) => {
    const redis = await freshRedis(forTests);
    const events = someEvents(10);
    const send = async () => {
      const producer = produce(redis, { batchMs: 1_000 });
      for (const event of events) producer.push(event);
      await producer.close();
    };
    await send();
    await send();
    expect(await depth(redis)).toBe(1);
    const handled = await consume(redis);
    await expect.poll(() => handled.size, patient).toBe(10);
    await send();
    await expect.poll(() => depth(redis), patient).toBe(0);
    expect(handled).toEqual(onceEach(events));
  },
);

test('a batch whose handling failed is handled again', async () => {
  const redis = await freshRedis();
  const handled = await consume(redis, 1);
  const producer = produce(redis);
  const events = someEvents(3);
  for (const event of events) producer.push(event);
  await expect.poll(() => handled, patient).toEqual(onceEach(events));
});

/** Pushes more and more events, and keeps them. */
function pushing(producer: UsageProducer) {
  const events: UsageEvent[] = [];
  const pushUntil = async (done: () => boolean) => {
    await expect
      .poll(() => {
        for (const event of someEvents(25)) {
          events.push(event);
          producer.push(event);
        }
        return done();
      }, patient)
      .toBe(true);
  };
  return { events, pushUntil };
}

test('through failovers behind a fixed address every event is handled', async () => {
  const servers = await startRedisPair();
  onTestFinished(() => servers.stop());
  const redis = { url: servers.url, cluster: false };
  const handled = await consume(redis);
  const producer = produce(redis, { batchMax: 10, sendMs: 500 });
  const { events, pushUntil } = pushing(producer);
  for (let failovers = 0; failovers < 3; failovers += 1) {
    const { sent } = producer.counts();
    await pushUntil(() => producer.counts().sent > sent + 100);
    let isDone = false;
    await Promise.all([servers.failOver().then(() => (isDone = true)), pushUntil(() => isDone)]);
  }
  await expect.poll(() => handled.size, patient).toBe(events.length);
  expect(producer.counts().dropped).toBe(0);
});

test.each([
  { kind: 'one server', killable: killableRedis },
  { kind: 'a cluster', killable: killableCluster },
])('with Redis killed and restarted while events are pushed, none is lost ($kind)', async ({ killable }) => {
  const redis = await killable();
  const handled = await consume(redis);
  const producer = produce(redis, { batchMax: 10, sendMs: 500 });
  const { events, pushUntil } = pushing(producer);
  await pushUntil(() => handled.size > 100);
  await Promise.all([redis.kill(), pushUntil(() => producer.counts().spooled > 100)]);
  await Promise.all([redis.restart(), pushUntil(() => producer.counts().sent > 500)]);
  await expect.poll(() => handled.size, patient).toBe(events.length);
  expect(events.every(({ event_id }) => handled.has(event_id))).toBe(true);
});

test('with Redis away, close leaves every event on disk, and the next gateway sends them', async () => {
  const spoolDir = freshFolder();
  const events = someEvents(250);
  const before = produce({ url: 'redis://127.0.0.1:1/' }, { spoolDir, closeMs: 100 });
  for (const event of events) before.push(event);
  await before.close();
  expect(before.counts()).toMatchObject({ sent: 0, spooled: 250, dropped: 0 });

  const redis = await freshRedis();
  const handled = await consume(redis);
  produce(redis, { spoolDir });
  await expect.poll(() => handled, patient).toEqual(onceEach(events));
  await expect.poll(() => readdirSync(spoolDir), patient).toEqual([]);
});

test('a Redis that does not answer holds no more events in memory than allowed', async () => {
  const redis = await killableRedis(); // of its own, because PAUSE stops a server for everyone
  const pauser = connectRedis({ ...redis, connectionName: 'spec', whenDown: 'queue' });
  onTestFinished(() => closeRedis(pauser));
  const handled = await consume(redis);
  const producer = produce(redis, { heldMax: 200, sendMs: 5_000 });
  producer.push(usageEvent());
  await producer.flush(); // connected
  await pauser.client('PAUSE', 1_500, 'WRITE');
  const events = someEvents(5_000);
  for (const event of events) producer.push(event);
  await expect.poll(() => producer.counts().spooled, patient).toBeGreaterThan(4_000);
  await producer.flush();
  await expect.poll(() => handled.size, patient).toBe(5_001);
  expect([...handled.values()].every((times) => times === 1)).toBe(true);
});

test('with neither Redis nor a disk, push goes on and the events wait', async () => {
  const producer = produce({ url: 'redis://127.0.0.1:1/' }, { spoolDir: '/dev/null/spool', closeMs: 10 });
  for (const event of someEvents(300)) producer.push(event);
  await expect.poll(() => producer.pending(), patient).toBe(300);
  expect(producer.counts().dropped).toBe(0);
});

test('what is no batch goes to the failed set and blocks nothing', async () => {
  const redis = await freshRedis();
  const connection = connectRedis({ ...redis, connectionName: 'spec', whenDown: 'queue' });
  const queue = new Queue(usageQueueName, { connection, prefix: bullPrefix });
  onTestFinished(async () => {
    await queue.close();
    await closeRedis(connection);
  });
  await queue.add('batch', { not: 'a batch' }, { attempts: 1_000 });
  const handled = await consume(redis);
  const producer = produce(redis);
  const event = usageEvent();
  producer.push(event);
  await expect.poll(() => handled, patient).toEqual(onceEach([event]));
  await expect.poll(() => queue.getFailedCount(), patient).toBe(1);
});

test('batches whose data is gone from Redis are told once, not kept, and hold up no other', async () => {
  const target = await freshRedis();
  const producer = produce(target, { batchMax: 1 });
  const events = someEvents(5);
  for (const event of events) producer.push(event);
  await producer.flush();
  const redis = connectRedis({ ...target, connectionName: 'spec', whenDown: 'queue' });
  onTestFinished(() => closeRedis(redis));
  const [kept, ...lost] = (await redis.lrange(`${bullPrefix}:usage:wait`, 0, -1)).toReversed();
  await redis.del(...lost.map((id) => `${bullPrefix}:usage:${id}`));
  const told: string[] = [];
  const withoutData: string[] = [];
  const handled: string[] = [];
  const consumer = openUsageConsumer({
    redis: target,
    log: { ...silent, error: (_, message) => void told.push(message) },
    handle: (_, id) => Promise.resolve(void handled.push(id)),
    onJobWithoutData: (queue) => withoutData.push(queue),
  });
  onTestFinished(() => consumer.close(1_000));
  await expect.poll(() => withoutData, patient).toEqual(Array(4).fill('usage'));
  await expect.poll(() => depth(target), patient).toBe(0);
  expect(handled).toEqual([kept]);
  expect(told).toEqual(['jobs have lost their data in Redis: evicted? what they held is lost']);
  expect(await redis.exists(...lost.map((id) => `${bullPrefix}:usage:${id}`))).toBe(0);
});

test('a Redis that takes writes and refuses batches is told of once, and once when it takes them again', async () => {
  const redis = await killableRedis();
  const admin = connectRedis({ ...redis, connectionName: 'spec', whenDown: 'queue' });
  onTestFinished(() => closeRedis(admin));
  await admin.call('ACL', 'SETUSER', 'default', '-evalsha', '-eval');
  const told: string[] = [];
  const tell = (fields: object, message: string) => void told.push(`${message} ${JSON.stringify(fields)}`);
  const producer = produce(redis, { log: { info: tell, warn: tell, error: tell } });
  producer.push(usageEvent());
  await expect.poll(() => producer.found(), patient).toMatch(/^failing since .*NOPERM/);
  const setsSoFar = await setsOf(admin);
  await expect.poll(() => setsOf(admin), patient).toBeGreaterThan(setsSoFar + 3); // it has been tried some more
  expect(producer.found()).toMatch(/^failing since .*NOPERM/);
  expect(told).toHaveLength(1);

  await admin.call('ACL', 'SETUSER', 'default', '+evalsha', '+eval');
  await expect.poll(() => producer.found(), patient).toMatch(/^ok; failed last at .*NOPERM/);
  await expect.poll(() => queueDepth(admin, usageQueueName), patient).toBe(1);
  expect(told.filter((line) => !line.includes('replayed'))).toHaveLength(2);
});

/** How often SET was called on the server. */
async function setsOf(admin: RedisClient): Promise<number> {
  return Number(/cmdstat_set:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1] ?? 0);
}
