import { limitKeys } from '@llmproxy/limit-state';
import { startRedis, startRedisCluster } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { atOnce, granted, limitersOn, type SpecLimiters } from './for-specs.ts';
import type { Admission, Limiter } from './index.ts';

// A server of each test's own: it is paused and stopped.
let server: Awaited<ReturnType<typeof startRedis>>;
let limiters: SpecLimiters;

beforeEach(async () => {
  server = await startRedis();
  limiters = await limitersOn(server.url);
});

afterEach(async () => {
  await limiters[Symbol.asyncDispose]();
  await server.stop();
});

const key = 'k:1';
const quota = { total: 1000, used: 0, periodStartMs: 1, periodEndMs: 0, shadow: false };
/** Scripts wait; what only reads, and the end of the pause, do not. */
const pause = () => limiters.redis.client('PAUSE', 20_000, 'WRITE');
const resume = () => limiters.redis.client('UNPAUSE');

async function one(limiter: Limiter, limits = {}): Promise<Admission> {
  const [admission] = await atOnce([limiter], 1, { tokens: 10, scopes: [{ tag: key, limits, quota }] });
  if (admission === undefined) throw new Error('no admission');
  return admission;
}

/** Requests that use nothing, until Redis is not asked any more. */
const untilOpen = async (limiter: Limiter) => {
  while (limiter.isRedisAsked()) {
    for (const { handle } of granted([await one(limiter)])) limiter.settle(handle, null);
  }
};
const untilAsked = (limiter: Limiter) =>
  expect.poll(() => limiter.isRedisAsked(), { timeout: 10_000 }).toBe(true);

test('a limiter on a connection that is only being made asks Redis from its first request on', async () => {
  const redis = connectRedis({ url: server.url, connectionName: 'spec' });
  expect(redis.status).not.toBe('ready');
  const limiter = await limiters.open({ redis, onFailure: 'deny' });
  expect(await one(limiter)).toMatchObject({ outcome: 'granted', by: 'redis' });
  await limiter.close();
  await closeRedis(redis);
});

test.each([
  ['deny', 'unavailable', undefined],
  ['allow', 'granted', 'none'],
  ['local', 'granted', 'local'],
] as const)(
  'while Redis does not answer, the policy %s decides, and recovery needs no restart',
  async (...row) => {
    const [onFailure, outcome, by] = row;
    const limiter = await limiters.open({ onFailure, deadlineMs: 50 });
    await pause();
    const admission = await one(limiter);
    expect(admission.outcome).toBe(outcome);
    if (by !== undefined) expect(admission).toMatchObject({ by });
    await untilOpen(limiter);
    await resume();
    await untilAsked(limiter);
    expect(await one(limiter)).toMatchObject({ outcome: 'granted', by: 'redis' });
  },
);

test('a worker on its own grants its share of a limit, and no more', async () => {
  const workers = [];
  for (let i = 0; i < 4; i++) workers.push(await limiters.open({ onFailure: 'local', deadlineMs: 50 }));
  const limiter = workers.at(-1) as Limiter;
  await pause();
  await untilOpen(limiter);
  const scopes = [{ tag: 'g', limits: { requestsPerMinute: 100 } }];
  const admissions = await atOnce([limiter], 200, { tokens: 1, scopes });
  expect(granted(admissions)).toHaveLength(25);
  await resume();
});

test('what a request used while Redis was away is charged to its quota afterwards', async () => {
  const limiter = await limiters.open({ onFailure: 'local', deadlineMs: 50 });
  const before = await one(limiter);
  await pause();
  await untilOpen(limiter);
  for (const { handle } of granted([before, await one(limiter)])) limiter.settle(handle, 7);
  await resume();
  const stored = async () => await limiters.redis.hgetall(limitKeys.quota(key));
  await expect
    .poll(async () => ({ ...(await stored()) }), { timeout: 10_000 })
    .toMatchObject({
      used: '14',
      reserved: '0',
    });
});

test('a settle whose answer was lost is not applied twice', async () => {
  const limiter = await limiters.open({ onFailure: 'local', deadlineMs: 50 });
  const [first] = granted([await one(limiter)]);
  await pause();
  if (first) limiter.settle(first.handle, 7);
  await untilOpen(limiter); // its deadline passes; Redis has it and runs it when the pause is over
  await resume();
  await untilAsked(limiter);
  await limiter.close(); // sends what has not been told
  expect(await limiters.redis.hgetall(limitKeys.quota(key))).toMatchObject({ used: '7', reserved: '0' });
});

test('what Redis granted too late is given back', async () => {
  const limiter = await limiters.open({ onFailure: 'deny', deadlineMs: 50 });
  const limits = { maxConcurrent: 5, requestsPerMinute: 5 };
  await pause();
  expect((await one(limiter, limits)).outcome).toBe('unavailable');
  await resume();
  await expect.poll(() => limiters.redis.exists(limitKeys.rates(key)), { timeout: 10_000 }).toBe(1);
  await expect.poll(() => limiters.redis.zcard(limitKeys.leases(key)), { timeout: 10_000 }).toBe(0);
  expect(await one(limiter, limits)).toMatchObject({ requests: { remaining: 4 } });
});

test('what was granted while Redis did not answer counts there as soon as it does, and is held there to its end', async () => {
  const limiter = await limiters.open({ onFailure: 'local', deadlineMs: 50 });
  const scopes = [{ tag: 'g', limits: { requestsPerMinute: 20, tokensPerMinute: 1000, maxConcurrent: 20 } }];
  const ask = async (count: number) => granted(await atOnce([limiter], count, { tokens: 10, scopes }));
  expect(await ask(3)).toHaveLength(3);
  await pause();
  const early = await ask(5); // Redis has them, and grants them when the pause is over
  await untilOpen(limiter);
  const alone = await ask(40);
  expect([early, alone].map(({ length }) => length)).toEqual([5, 12]);
  await resume();
  await untilAsked(limiter);
  await expect.poll(() => limiters.redis.zcard(limitKeys.leases('g')), { timeout: 10_000 }).toBe(20);
  expect(await ask(10)).toEqual([]);
  for (const { handle } of [...early, ...alone]) limiter.settle(handle, 1);
  await expect.poll(() => limiters.redis.zcard(limitKeys.leases('g'))).toBe(3);
  await limiter.close();
  const other = await limiters.open();
  const [, refused] = await atOnce([other], 2, {
    tokens: 0,
    scopes: [{ tag: 'g', limits: { requestsPerMinute: 21, tokensPerMinute: 1000 } }],
  });
  expect(refused).toMatchObject({
    outcome: 'refused',
    limit: 'requests_per_minute',
    tokens: { remaining: 953 },
  });
});

test('a Redis that stutters lets in what the limit and a local share allow, and is told to be failing', async () => {
  const lines: string[] = [];
  const log = (_level: string, message: string) => void lines.push(message);
  const two = [
    await limiters.open({ onFailure: 'local', deadlineMs: undefined, workersAtLeast: 2, log }),
    await limiters.open({ onFailure: 'local', deadlineMs: undefined, workersAtLeast: 2 }),
  ];
  const pid = Number(/process_id:(\d+)/.exec(await limiters.redis.info('server'))?.[1]);
  const scopes = [{ tag: 'g', limits: { requestsPerMinute: 20 } }];
  let admitted = 0;
  const hammer = async (ms: number) => {
    for (const untilMs = Date.now() + ms; Date.now() < untilMs;) {
      admitted += granted(await atOnce(two, 4, { tokens: 1, scopes })).length;
    }
  };
  for (let i = 0; i < 4; i++) {
    process.kill(pid, 'SIGSTOP');
    await hammer(450).finally(() => process.kill(pid, 'SIGCONT'));
    await hammer(1550);
  }
  expect(admitted).toBeGreaterThanOrEqual(20);
  expect(admitted).toBeLessThanOrEqual(20 + 10);
  expect(two[0]?.condition.found()).toMatch(/calls to Redis in the last minute failed, the last one: /);
  expect(lines).toHaveLength(1);
}, 30_000);

test('a server that is gone is not waited for, and limits are exact again when it is back', async () => {
  const redis = connectRedis({ url: server.url, connectionName: 'spec' });
  if (redis.status !== 'ready') await once(redis, 'ready');
  const limiter = await limiters.open({ redis, onFailure: 'local', deadlineMs: 60_000 });
  await server.stop();
  await expect.poll(() => redis.status).not.toBe('ready');
  expect(await one(limiter)).toMatchObject({ by: 'local' });
  await closeRedis(redis);
});

test('on a cluster only the scopes of a dead master are counted by the worker, and are told when it is back', async () => {
  const cluster = await startRedisCluster();
  try {
    await using onCluster = await limitersOn(cluster.url, true);
    const limiter = await onCluster.open({ onFailure: 'local', deadlineMs: 200 });
    const home = await cluster.masterOf(limitKeys.rates('g'));
    let tag = 'k:0';
    let dead = await cluster.masterOf(limitKeys.rates(tag));
    for (let i = 1; dead.port === home.port; i++) {
      tag = `k:${i}`;
      dead = await cluster.masterOf(limitKeys.rates(tag));
    }
    const all = { tag: 'g', limits: { requestsPerMinute: 100, maxConcurrent: 100 } };
    const scopes = [all, { tag, limits: { requestsPerMinute: 6, maxConcurrent: 100 } }];
    const by = async () => {
      const [admission] = await atOnce([limiter], 1, { tokens: 1, scopes });
      return admission?.outcome === 'granted' ? admission.by : admission?.outcome;
    };
    expect([await by(), await by()]).toEqual(['redis', 'redis']);
    await dead.kill();
    const alone: unknown[] = [];
    for (let i = 0; i < 6; i++) alone.push(await by());
    expect(alone).toEqual(['local', 'local', 'local', 'local', 'refused', 'refused']);
    const held = (of: string) => onCluster.redis.zcard(limitKeys.leases(of));
    await expect.poll(() => held('g')).toBe(6);
    await dead.restart();
    const heard = async () => {
      await atOnce([limiter], 1, { tokens: 1, scopes: [{ tag: 'g', limits: { requestsPerMinute: 100 } }] });
      return held(tag);
    };
    await expect.poll(heard, { timeout: 15_000 }).toBe(4);
  } finally {
    await cluster.stop();
  }
});
