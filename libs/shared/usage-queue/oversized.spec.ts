/** Events that Redis takes no longer as a whole, or that cannot be written down: none of them holds up another. */
import { spawnRedisServer } from '@llmproxy/embedded-redis';
import { bullPrefix, closeRedis, connectRedis, type RedisClient } from '@llmproxy/redis';
import fc from 'fast-check';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openUsageConsumer, openUsageProducer, usageQueueName } from './index.ts';
import type { UsageProducerOptions } from './index.ts';
import { usageEvent } from './testing/usage-event.ts';
import type { UsageEvent } from './usage-event.ts';

const patient = { timeout: 28_000 };
const mebibyte = 1_024 * 1_024;

function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'uq-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A Redis of its own; the smallest `proto-max-bulk-len` there is, unless told otherwise. */
async function smallRedis(settings: Record<string, string> = {}) {
  const dir = freshFolder();
  const socket = join(dir, 'r.sock');
  const small = { dir, save: '', appendonly: 'no', 'proto-max-bulk-len': '1mb' };
  const server = await spawnRedisServer({
    socket,
    settings: { ...small, ...settings },
    stopSignal: 'SIGKILL',
  });
  onTestFinished(() => server.stop());
  const redis = { url: `unix://${socket}`, cluster: false };
  const admin = connectRedis({ ...redis, connectionName: 'spec', whenDown: 'queue' });
  onTestFinished(() => closeRedis(admin));
  return { redis, admin };
}

const noConfig = (admin: RedisClient) => admin.call('ACL', 'SETUSER', 'default', '-config');

function produce(options: Pick<UsageProducerOptions, 'spoolDir'> & { redis: { url: string } }) {
  const told: string[] = [];
  const tell = (level: string) => (fields: object, message: string) =>
    void told.push(`${level} ${message} ${JSON.stringify(fields)}`);
  const log = { info: tell('info'), warn: tell('warn'), error: tell('error') };
  const producer = openUsageProducer({ batchMax: 10, sendMs: 5_000, log, ...options });
  onTestFinished(() => producer.close());
  return { producer, told };
}

/** Events in the order in which they were handled. */
async function consume(redis: { url: string }): Promise<UsageEvent[]> {
  const handled: UsageEvent[] = [];
  const consumer = openUsageConsumer({
    redis,
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    concurrency: 1,
    handle: (events) => Promise.resolve(void handled.push(...events)),
  });
  onTestFinished(() => consumer.close(1_000));
  await consumer.ready();
  return handled;
}

const withBody = (bytes: number) => usageEvent({ request_body: 'x'.repeat(bytes) });
const idsOf = (events: readonly UsageEvent[]) => events.map(({ event_id }) => event_id);
const json = (value: unknown) => Buffer.byteLength(JSON.stringify(value));
/** As it should arrive where a bulk may have 1 MiB. */
const fitting = (event: UsageEvent): UsageEvent =>
  json([event]) <= mebibyte
    ? event
    : { ...event, request_body: { omitted: 'too large', bytes: json(event.request_body) } };

test('whatever sizes events have, each arrives once and in order, without its body where Redis takes no such size', async () => {
  const { redis } = await smallRedis();
  const handled = await consume(redis);
  const { producer, told } = produce({ redis, spoolDir: freshFolder() });
  const size = fc.oneof(fc.nat(2_000), fc.nat(400_000), fc.integer({ min: 900_000, max: 3_000_000 }));
  await fc.assert(
    fc.asyncProperty(fc.array(size, { minLength: 1, maxLength: 25 }), async (sizes) => {
      handled.length = 0;
      const events = sizes.map(withBody);
      for (const event of events) producer.push(event);
      await producer.flush();
      await expect.poll(() => handled.length, patient).toBe(events.length);
      expect(idsOf(handled)).toEqual(idsOf(events));
      expect(handled).toEqual(events.map(fitting));
    }),
    { numRuns: 8, endOnFailure: true },
  );
  expect(producer.counts()).toMatchObject({ spooled: 0, dropped: 0 });
  expect(told).toEqual([]);
});

test.each([
  { kind: 'its refusal is heard', bytes: 1_500_000 },
  { kind: 'its refusal is lost with the connection, as in an outage', bytes: 6 * mebibyte },
])(
  'where Redis does not tell its limits, an event it refuses is found out and holds up no other: $kind',
  async ({ bytes }) => {
    const { redis, admin } = await smallRedis();
    await noConfig(admin);
    const handled = await consume(redis);
    const spoolDir = freshFolder();
    const { producer, told } = produce({ redis, spoolDir });
    const events = [...Array.from({ length: 7 }, () => usageEvent()), withBody(bytes), withBody(300_000)];
    for (const event of events) producer.push(event);
    const others = Array.from({ length: 30 }, () => usageEvent());
    await producer.flush();
    for (const event of others) producer.push(event);
    await expect.poll(() => handled.length, patient).toBe(39);
    expect(idsOf(handled).toSorted()).toEqual(idsOf([...events, ...others]).toSorted());
    const arrived = new Map(handled.map((event) => [event.event_id, event]));
    for (const event of [...events, ...others]) expect(arrived.get(event.event_id)).toEqual(fitting(event));
    await expect.poll(() => readdirSync(spoolDir), patient).toEqual([]);
    expect(told.filter((line) => line.startsWith('warn Redis does not take'))).toHaveLength(1);
    await expect
      .poll(() => told.filter((line) => line.startsWith('info Redis takes')), patient)
      .toHaveLength(1);
    expect(producer.counts().bodiesOmitted).toBe(1);
  },
);

test('a spooled event that Redis refuses for its size is replayed without its body, and the rest is replayed', async () => {
  const spoolDir = freshFolder();
  const events = [withBody(10), withBody(5 * mebibyte), withBody(20), withBody(900_000), withBody(900_000)];
  const { producer: before } = produce({ redis: { url: 'redis://127.0.0.1:1/' }, spoolDir });
  for (const event of events) before.push(event);
  await before.close();
  expect(before.counts()).toMatchObject({ spooled: 5 });
  const { redis } = await smallRedis();
  const handled = await consume(redis);
  produce({ redis, spoolDir });
  await expect.poll(() => idsOf(handled), patient).toEqual(idsOf(events));
  expect(handled).toEqual(events.map(fitting));
  await expect.poll(() => readdirSync(spoolDir), patient).toEqual([]);
});

test('an event too large even without its body is kept beside the spool, told and counted', async () => {
  const { redis } = await smallRedis();
  const handled = await consume(redis);
  const spoolDir = freshFolder();
  const { producer, told } = produce({ redis, spoolDir });
  const huge = usageEvent({ model: 'm'.repeat(2 * mebibyte) });
  const events = [usageEvent(), huge, usageEvent()];
  for (const event of events) producer.push(event);
  await producer.flush();
  await expect.poll(() => handled, patient).toEqual([events[0], events[2]]);
  expect(producer.counts()).toMatchObject({ refused: 1, dropped: 0 });
  expect(JSON.parse(readFileSync(join(spoolDir, 'refused.ndjson'), 'utf8'))).toEqual(huge);
  expect(told).toEqual([expect.stringContaining(`"event_id":"${huge.event_id}"`)]);
});

test.each([{ redisIs: 'there' }, { redisIs: 'away' }])(
  'an event that cannot be written as JSON does not hold up its batch, with Redis $redisIs',
  async ({ redisIs }) => {
    const spoolDir = freshFolder();
    const { redis } = await smallRedis();
    const handled = await consume(redis);
    let deep: unknown = 1;
    for (let depth = 0; depth < 200_000; depth += 1) deep = [deep];
    const tooDeep = usageEvent({ request_body: deep });
    const odd = usageEvent({ latency_ms: 1n as never });
    const events = [usageEvent(), tooDeep, usageEvent(), odd, usageEvent()];
    const url = redisIs === 'there' ? redis.url : 'redis://127.0.0.1:1/';
    const { producer, told } = produce({ redis: { url }, spoolDir });
    for (const event of events) producer.push(event);
    await producer.close();
    expect(producer.counts()).toMatchObject({ dropped: 1, bodiesOmitted: 1 });
    expect(told.filter((line) => line.includes(odd.event_id))).toHaveLength(1);
    if (redisIs === 'away') produce({ redis, spoolDir });
    const expected = events.filter((event) => event !== odd);
    await expect.poll(() => idsOf(handled), patient).toEqual(idsOf(expected));
    expect(handled[1]?.request_body).toEqual({ omitted: 'not serializable' });
  },
);

/** Makes the queue refuse jobs, and lets it take them again. */
const refusals = [
  {
    refusal: 'OOM',
    begin: (admin: RedisClient) => admin.config('SET', 'maxmemory', '1'),
    end: (admin: RedisClient) => admin.config('SET', 'maxmemory', '0'),
  },
  {
    refusal: 'WRONGTYPE',
    begin: (admin: RedisClient) => admin.set(`${bullPrefix}:${usageQueueName}:wait`, 'not a list'),
    end: (admin: RedisClient) => admin.del(`${bullPrefix}:${usageQueueName}:wait`),
  },
];

test.each(refusals)(
  'a queue that answers $refusal is one outage, told once',
  async ({ refusal, begin, end }) => {
    const { redis, admin } = await smallRedis();
    await begin(admin);
    const spoolDir = freshFolder();
    const { producer, told } = produce({ redis, spoolDir });
    const events = Array.from({ length: 25 }, () => usageEvent());
    for (const event of events) {
      producer.push(event);
      await producer.flush();
    }
    expect(producer.counts()).toMatchObject({ sent: 0, spooled: 25 });
    expect(producer.found()).toMatch(
      new RegExp(`^failing since .*${refusal}.*; 25 events spooled since then$`),
    );
    await end(admin);
    const handled = await consume(redis);
    await expect.poll(() => idsOf(handled).toSorted(), patient).toEqual(idsOf(events).toSorted());
    await expect.poll(() => producer.found(), patient).toMatch(/^ok; failed last at /);
    expect(told.filter((line) => line.startsWith('warn'))).toHaveLength(1);
    expect(told.filter((line) => line.startsWith('info Redis takes'))).toHaveLength(1);
    expect(existsSync(join(spoolDir, 'refused.ndjson'))).toBe(false);
  },
);
