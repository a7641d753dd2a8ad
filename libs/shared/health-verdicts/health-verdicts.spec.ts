import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { spawnRedisServer } from '@llmproxy/embedded-redis';
import { redisClusterForTests } from '@llmproxy/real-services';
import { closeRedis, connectRedis, redisKeys } from '@llmproxy/redis';
import {
  followVerdicts,
  isHealthy,
  publishVerdict,
  readVerdicts,
  removeVerdicts,
  type HealthVerdict,
} from './index.ts';

let folder: string;
const cleanups: (() => Promise<unknown> | void)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llmproxy-spec-'));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await rm(folder, { recursive: true, force: true });
});

async function startRedis() {
  const server = await spawnRedisServer({
    socket: join(folder, 'redis.sock'),
    stopSignal: 'SIGKILL',
    settings: { dir: folder, save: '' },
  });
  cleanups.push(() => server.stop());
  return server;
}

function connect() {
  const redis = connectRedis({
    url: `unix://${folder}/redis.sock`,
    connectionName: 'spec',
    commandTimeoutMs: 1000,
  });
  cleanups.push(() => closeRedis(redis));
  return redis;
}

async function connected() {
  const redis = connect();
  await vi.waitUntil(() => redis.status === 'ready');
  return redis;
}

/** Follows with a poll so rare that only messages can be the reason of a change, unless told otherwise. */
function follow(intervalMs = 3_600_000) {
  let verdicts: ReadonlyMap<string, HealthVerdict> | undefined;
  const subscriber = connect();
  const reader = connect();
  const feed = followVerdicts({
    subscriber,
    reader,
    intervalMs,
    onVerdicts: (latest) => (verdicts = latest),
  });
  cleanups.push(() => feed.close());
  return { subscriber, feed, healthOf: (backend: string) => verdicts?.get(backend)?.healthy };
}

const verdict = (over: Partial<HealthVerdict> = {}): HealthVerdict => ({
  backend: 'a',
  healthy: true,
  streak: 0,
  checkedAtMs: 1_000_000,
  latencyMs: 3,
  error: null,
  ...over,
});
const bad = verdict({ healthy: false, streak: 1, latencyMs: null, error: 'no answer' });

const subscribers = async (redis: Awaited<ReturnType<typeof connected>>): Promise<number> =>
  ((await redis.pubsub('NUMSUB', redisKeys.health)) as [string, number])[1];

test.each([
  [undefined, 0, true],
  [verdict(), 0, true],
  [bad, 1_000_000, false],
  [bad, 1_030_000, false],
  [bad, 1_030_001, true],
  [bad, 999_000, false], // a gateway whose clock is behind
])('with the verdict %j at %d a backend is healthy: %s', (of, nowMs, healthy) => {
  expect(isHealthy(of, nowMs, 10_000)).toBe(healthy);
});

test('what is published can be read, and is gone once removed', async () => {
  await startRedis();
  const redis = await connected();
  await publishVerdict(redis, bad);
  await publishVerdict(redis, verdict({ backend: 'b' }));
  expect(await readVerdicts(redis)).toEqual(
    new Map([
      ['a', bad],
      ['b', verdict({ backend: 'b' })],
    ]),
  );
  expect([...(await readVerdicts(redis, ['c', 'b'])).keys()]).toEqual(['b']);
  await removeVerdicts(redis, ['a', 'c']);
  expect([...(await readVerdicts(redis)).keys()]).toEqual(['b']);
});

test('a gateway hears of a change by message, without waiting for a poll', async () => {
  await startRedis();
  const redis = await connected();
  const { healthOf } = follow();
  await vi.waitUntil(async () => (await subscribers(redis)) === 1);
  await publishVerdict(redis, bad);
  await vi.waitUntil(() => healthOf('a') === false);
  await publishVerdict(redis, verdict());
  await vi.waitUntil(() => healthOf('a') === true);
  await removeVerdicts(redis, ['a']);
  await vi.waitUntil(() => healthOf('a') === undefined);
});

test('verdicts pass through a cluster, whichever of its servers a gateway listens to', async () => {
  const place = await redisClusterForTests();
  cleanups.push(async () => place[Symbol.asyncDispose]());
  const open = async (name: string) => {
    const redis = connectRedis({ ...place, connectionName: name });
    cleanups.push(() => closeRedis(redis));
    await vi.waitUntil(() => redis.status === 'ready');
    return redis;
  };
  const redis = await open('scheduler');
  const heard: boolean[] = [];
  const gateways = await Promise.all(['a', 'b', 'c', 'd'].map(open));
  for (const [index, gateway] of gateways.entries()) {
    const feed = followVerdicts({
      subscriber: gateway,
      reader: redis,
      intervalMs: 3_600_000,
      onVerdicts: (verdicts) => (heard[index] = verdicts.get('a')?.healthy === false),
    });
    cleanups.push(() => feed.close());
  }
  await vi.waitUntil(async () => {
    await publishVerdict(redis, bad);
    return heard.filter(Boolean).length === gateways.length;
  });
  await removeVerdicts(redis, ['a']);
  await vi.waitUntil(() => !heard.includes(true));
  expect(await readVerdicts(redis)).toEqual(new Map());
});

test('a change whose message was lost is found by the next poll', async () => {
  await startRedis();
  const redis = await connected();
  const { healthOf } = follow(10);
  await redis.hset(redisKeys.health, 'a', JSON.stringify(bad));
  await vi.waitUntil(() => healthOf('a') === false);
  await redis.hdel(redisKeys.health, 'a');
  await vi.waitUntil(() => healthOf('a') === undefined);
});

test('a gateway that starts before Redis, or outlives it, follows again once it is there', async () => {
  const { healthOf, subscriber } = follow(10);
  const first = await startRedis();
  const redis = await connected();
  await publishVerdict(redis, bad);
  await vi.waitUntil(() => healthOf('a') === false);
  await vi.waitUntil(() => subscriber.status === 'ready');

  await first.stop();
  await vi.waitUntil(() => subscriber.status !== 'ready');
  expect(healthOf('a')).toBe(false); // the last verdict stays until it is stale
  await startRedis();
  await vi.waitUntil(() => redis.status === 'ready');
  await vi.waitUntil(async () => (await subscribers(redis)) === 1);
  await publishVerdict(redis, verdict());
  await vi.waitUntil(() => healthOf('a') === true);
});

test('what cannot be read as a verdict changes nothing', async () => {
  await startRedis();
  const redis = await connected();
  const { healthOf } = follow(10);
  await redis.hset(redisKeys.health, { a: 'no JSON', b: '{"healthy":"no"}', c: JSON.stringify(bad) });
  await redis.publish(redisKeys.health, '[]');
  await vi.waitUntil(() => healthOf('c') === false);
  expect([healthOf('a'), healthOf('b')]).toEqual([undefined, undefined]);
});

test('a closed feed hears nothing more and leaves the connections open', async () => {
  await startRedis();
  const redis = await connected();
  const { feed, healthOf, subscriber } = follow(10);
  await vi.waitUntil(async () => (await subscribers(redis)) === 1);
  feed.close();
  await vi.waitUntil(async () => (await subscribers(redis)) === 0);
  await publishVerdict(redis, bad);
  expect(await subscriber.ping()).toBe('PONG');
  expect(healthOf('a')).toBeUndefined();
});

test('a server that refuses to be read is told of at each reading, until it lets us', async () => {
  await startRedis();
  const admin = await connected();
  await admin.call('ACL', 'SETUSER', 'default', '-hgetall');
  const heard: (string | undefined)[] = [];
  const feed = followVerdicts({
    subscriber: await connected(),
    reader: await connected(),
    intervalMs: 20,
    onVerdicts: () => undefined,
    onRead: (failure) => heard.push(failure),
  });
  cleanups.push(() => feed.close());
  await expect.poll(() => heard.at(-1)).toMatch(/^NOPERM /);
  await admin.call('ACL', 'SETUSER', 'default', '+hgetall');
  await expect.poll(() => heard.at(-1)).toBeUndefined();
});
