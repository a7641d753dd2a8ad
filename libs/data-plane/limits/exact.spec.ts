import { redisClusterForTests, redisForTests } from '@llmproxy/real-services';
import { limitKeys, type LimitScope } from '@llmproxy/limit-state';
import { describe, expect, test } from 'vitest';
import { atOnce, granted, limitersOn } from './for-specs.ts';

const key = 'k:1';
const quota = { total: 1000, used: 100, periodStartMs: 1, periodEndMs: 0, shadow: false };

describe.each([
  ['one server', redisForTests, false],
  ['a Redis Cluster', redisClusterForTests, true],
])('on %s', (_, placeForTests, isCluster) => {
  test.each<[what: string, scope: LimitScope, passes: number]>([
    ['requests per minute', { tag: key, limits: { requestsPerMinute: 100 } }, 100],
    ['a burst', { tag: key, limits: { requestsPerSecond: 0.001, burst: 70 } }, 70],
    ['tokens per minute', { tag: key, limits: { tokensPerMinute: 105 } }, 10],
    ['requests at once', { tag: key, limits: { maxConcurrent: 33 } }, 33],
    ['a quota', { tag: key, limits: {}, quota }, 90],
  ])('of 300 requests at three workers, exactly as many pass as %s allow', async (_what, scope, passes) => {
    await using place = await placeForTests();
    await using limiters = await limitersOn(place.url, isCluster);
    const three = [await limiters.open(), await limiters.open(), await limiters.open()];
    const admissions = await atOnce(three, 300, { tokens: 10, scopes: [scope] });
    expect(granted(admissions)).toHaveLength(passes);
  });

  test('a refused request consumes nothing of the scopes that had room for it', async () => {
    await using place = await placeForTests();
    await using limiters = await limitersOn(place.url, isCluster);
    const limiter = await limiters.open();
    const wide = {
      tag: 'g',
      limits: {
        requestsPerMinute: 1000,
        requestsPerSecond: 0.001,
        burst: 50,
        tokensPerMinute: 1000,
        maxConcurrent: 50,
      },
    };
    const narrow = { tag: key, limits: { requestsPerMinute: 0 } };
    await atOnce([limiter], 20, { tokens: 10, scopes: [wide, narrow] });
    await limiter.close();
    const again = await limiters.open();
    const [admission] = await atOnce([again], 1, { tokens: 10, scopes: [wide] });
    expect(admission).toMatchObject({
      outcome: 'granted',
      requests: { limit: 50, remaining: 49 },
      tokens: { limit: 1000, remaining: 990 },
    });
    expect(await limiters.redis.zcard(limitKeys.leases('g'))).toBe(1);
  });

  test('after many requests that were granted, refused and settled, only what was granted and used has counted', async () => {
    await using place = await placeForTests();
    await using limiters = await limitersOn(place.url, isCluster);
    const three = [await limiters.open(), await limiters.open(), await limiters.open()];
    const all = { tag: 'g', limits: { requestsPerMinute: 100_000, maxConcurrent: 40 } };
    const own = { tag: key, limits: { tokensPerMinute: 100_000, maxConcurrent: 25 }, quota };
    const backends = ['b:a', 'b:b'].map((tag) => ({ tag, limits: { maxConcurrent: 12 } }));
    let [passed, used] = [0, 0];
    for (let round = 0; round < 5; round++) {
      const request = { tokens: 10, scopes: [all, own], alternatives: backends };
      for (const [i, { handle }] of granted(await atOnce(three, 60, request)).entries()) {
        passed += 1;
        used += i % 4;
        three[i % 3]?.settle(handle, i % 4);
      }
    }
    for (const limiter of three) await limiter.close();
    const again = await limiters.open();
    const [last] = await atOnce([again], 1, { tokens: 0, scopes: [all] });
    expect(passed).toBeGreaterThan(50);
    expect(last).toMatchObject({ requests: { remaining: 100_000 - passed - 1 } });
    expect(await limiters.redis.hgetall(limitKeys.quota(key))).toMatchObject({
      used: String(100 + used),
      reserved: '0',
    });
    for (const { tag } of [own, ...backends]) {
      expect(await limiters.redis.zcard(limitKeys.leases(tag))).toBe(0);
    }
  });

  test('the first backend with room is taken; with none, the one that has room soonest says when', async () => {
    await using place = await placeForTests();
    await using limiters = await limitersOn(place.url, isCluster);
    const limiter = await limiters.open();
    const backend = (tag: string, requestsPerMinute: number) => ({ tag, limits: { requestsPerMinute } });
    const alternatives = [backend('b:none', 0), backend('b:some', 1)];
    const ask = async () => {
      const [admission] = await atOnce([limiter], 1, {
        tokens: 1,
        scopes: [{ tag: 'g', limits: {} }],
        alternatives,
      });
      return admission;
    };
    expect(await ask()).toMatchObject({ outcome: 'granted', alternative: 1, by: 'redis' });
    const refused = await ask();
    expect(refused).toMatchObject({ outcome: 'refused', kind: 'backend', limit: 'requests_per_minute' });
    expect(refused).toHaveProperty(
      'retryAfterMs',
      expect.toSatisfy((ms: number) => ms > 0 && ms <= 120_000),
    );
  });

  test('a settle replaces the estimate by the use, once', async () => {
    await using place = await placeForTests();
    await using limiters = await limitersOn(place.url, isCluster);
    const limiter = await limiters.open();
    const scope = { tag: key, limits: { tokensPerMinute: 500, maxConcurrent: 1 }, quota };
    const [first] = await atOnce([limiter], 1, { tokens: 300, scopes: [scope] });
    if (first?.outcome !== 'granted') throw new Error('expected to be granted');
    expect(await limiters.redis.hgetall(limitKeys.quota(key))).toMatchObject({
      used: '100',
      reserved: '300',
    });
    limiter.settle(first.handle, 40);
    limiter.settle(first.handle, 40);
    const [second] = await atOnce([limiter], 1, { tokens: 460, scopes: [scope] });
    expect(second).toMatchObject({ outcome: 'granted', tokens: { remaining: 0 } });
    expect(await limiters.redis.hgetall(limitKeys.quota(key))).toMatchObject({
      used: '140',
      reserved: '460',
    });
  });
});

test('what comes in one turn of the event loop travels in one call', async () => {
  await using place = await redisForTests();
  await using limiters = await limitersOn(place.url);
  const calls: number[] = [];
  const limiter = await limiters.open({ onCall: (_ok, _ms, ops) => calls.push(ops) });
  const scope = { tag: key, limits: { maxConcurrent: 100 } };
  const admissions = await atOnce([limiter], 50, {
    tokens: 1,
    scopes: [scope, { tag: 'g', limits: { requestsPerMinute: 100 } }],
  });
  for (const { handle } of granted(admissions)) limiter.settle(handle, 1);
  await limiter.close();
  expect(calls).toEqual([50, 50]);
  expect(await limiters.redis.zcard(limitKeys.leases(key))).toBe(0);
});

test('a limit in shadow mode is told, not enforced', async () => {
  await using place = await redisForTests();
  await using limiters = await limitersOn(place.url);
  const limiter = await limiters.open();
  const scope = { tag: 'ip:192.0.2.1', limits: { requestsPerMinute: 1 }, shadow: true };
  const [, second] = await atOnce([limiter], 2, { tokens: 1, scopes: [scope] });
  expect(second).toMatchObject({
    outcome: 'granted',
    requests: null,
    shadowRefusals: [{ kind: 'ip', limit: 'requests_per_minute' }],
  });
});

test('the scheduler hears of the scopes that hold something', async () => {
  await using place = await redisForTests();
  await using limiters = await limitersOn(place.url);
  const limiter = await limiters.open();
  const scopes = [
    { tag: 'g', limits: { requestsPerMinute: 10 } },
    { tag: key, limits: { maxConcurrent: 10 } },
  ];
  await atOnce([limiter], 2, { tokens: 1, scopes });
  await limiter.close();
  await expect.poll(() => limiters.redis.zrange(limitKeys.tags, 0, -1)).toEqual([key]);
});
