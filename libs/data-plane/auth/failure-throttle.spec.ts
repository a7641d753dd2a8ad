import { startRedis, type PrivateServer } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { FakeClock } from '@llmproxy/time';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { countFailure } from './count-failure.ts';
import { FailureCount } from './core/failure-count.ts';
import { openFailureThrottle } from './index.ts';

const policy = { failuresMax: 3, windowMs: 60_000, blockMs: 60_000 };
const ip = '203.0.113.7';

// A server of our own: messages cross the logical databases that specs share.
let server: PrivateServer;
beforeAll(async () => void (server = await startRedis()));
afterAll(() => server.stop());

function connect() {
  const redis = connectRedis({ url: server.url, connectionName: 'spec', whenDown: 'queue' });
  onTestFinished(() => closeRedis(redis));
  return redis;
}

/** A gateway's throttle; resolves once it hears of blocked addresses. */
async function open(clock = new FakeClock()) {
  const redis = connect();
  const subscriber = connect();
  const before = await listeners(redis);
  const throttle = openFailureThrottle({ ...policy, clock, shared: { redis, subscriber } });
  onTestFinished(() => throttle.close());
  await vi.waitUntil(async () => (await listeners(redis)) > before);
  return { redis, throttle, clock };
}

async function listeners(redis: ReturnType<typeof connect>): Promise<number> {
  const [, count] = await redis.pubsub('NUMSUB', 'lp:blocked');
  return Number(count);
}

test('failures are counted across gateways, and all of them refuse the address then', async () => {
  const [one, other, third] = [await open(), await open(), await open()];
  await one.redis.flushall();
  await one.throttle.failed(ip);
  await other.throttle.failed(ip);
  expect([one, other, third].map(({ throttle }) => throttle.refusal(ip))).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  await one.throttle.failed(ip);
  await vi.waitUntil(
    () => third.throttle.refusal(ip) !== undefined && other.throttle.refusal(ip) !== undefined,
  );
  expect(one.throttle.refusal(ip)).toBe(60_000);
  expect(third.throttle.refusal('203.0.113.8')).toBeUndefined();
  third.clock.advance(60_000);
  expect(third.throttle.refusal(ip)).toBeUndefined();
});

test('a gateway that has not heard learns of the block with the next failure', async () => {
  const one = await open();
  await one.redis.flushall();
  for (let i = 0; i < policy.failuresMax; i++) await one.throttle.failed(ip);
  const late = await open();
  expect(late.throttle.refusal(ip)).toBeUndefined();
  await late.throttle.failed(ip);
  expect(late.throttle.refusal(ip)).toBeGreaterThan(0);
});

test('an IPv6 customer is one, whatever address of theirs comes', async () => {
  const { redis, throttle } = await open();
  await redis.flushall();
  for (const host of ['1', '2', '3']) await throttle.failed(`2001:db8:1:2::${host}`);
  expect(throttle.refusal('2001:db8:1:2:ffff::9')).toBe(60_000);
  expect(throttle.refusal('2001:db8:1:3::1')).toBeUndefined();
  expect(await redis.keys('*')).toEqual(['lp:{ip:2001:db8:1:2::/64}:failures']);
  expect(await redis.pttl('lp:{ip:2001:db8:1:2::/64}:failures')).toBeGreaterThan(0);
});

test('without Redis the process goes on by itself', async () => {
  const { redis, throttle, clock } = await open();
  await closeRedis(redis);
  for (let i = 0; i < policy.failuresMax; i++) await throttle.failed(ip);
  expect(throttle.refusal(ip)).toBe(60_000);
  clock.advance(60_000);
  expect(throttle.refusal(ip)).toBeUndefined();
});

test('the first failures that come at once are counted before any answer of Redis', () => {
  const throttle = openFailureThrottle({ ...policy, clock: new FakeClock() });
  for (let i = 0; i < policy.failuresMax; i++) void throttle.failed(ip);
  expect(throttle.refusal(ip)).toBe(60_000);
});

test('in one window, the script and its model count alike', async () => {
  const redis = connect();
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.constantFrom('a', 'b'), { maxLength: 8 }),
      async (failuresMax, scopes) => {
        await redis.flushall();
        const model = new FailureCount({ ...policy, failuresMax }, 10);
        for (const scope of scopes) {
          const blockedMs = await countFailure(redis, { ...policy, failuresMax, scope });
          expect(blockedMs > 0).toBe(model.failed(scope, 0) > 0);
        }
      },
    ),
    { numRuns: 30 },
  );
});

test('a counter that a clock which went back made to outlive its window, or its block, is cut to it', async () => {
  const redis = connect();
  const scope = '192.0.2.9';
  const counter = `lp:{ip:${scope}}:failures`;
  const fail = () => countFailure(redis, { ...policy, failuresMax: 2, scope });
  const stepBack = () => redis.pexpire(counter, 3_600_000);
  await redis.del(counter);
  await redis.incr(counter);
  await stepBack();
  await fail();
  await stepBack();
  expect(await fail()).toBeLessThanOrEqual(policy.blockMs);
  expect(await redis.pttl(counter)).toBeLessThanOrEqual(policy.blockMs);
  await redis.set(counter, 0);
  await stepBack();
  await fail();
  expect(await redis.pttl(counter)).toBeLessThanOrEqual(policy.windowMs);
});
