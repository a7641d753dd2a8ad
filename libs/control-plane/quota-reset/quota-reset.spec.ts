import { redisClusterForTests, redisForTests } from '@llmproxy/real-services';
import { bullPrefix, type RedisTarget } from '@llmproxy/redis';
import { expect, test, vi } from 'vitest';
import { openQuotaReset } from './index.ts';
import { leaseMs } from '@llmproxy/limit-state';
import { cleanups, daily, dayMs, gatewaysOn, tag } from './spec-gateways.ts';

const until = (condition: () => boolean | Promise<boolean>) =>
  vi.waitUntil(condition, { timeout: 10_000, interval: 5 });

/** A scheduler's part, sweeping often. */
function startScheduler(redis: RedisTarget) {
  const resets: string[] = [];
  const quotaReset = openQuotaReset({
    redis,
    intervalMs: 50,
    onReaped: () => undefined,
    onReset: (of) => resets.push(of),
    log: () => undefined,
  });
  cleanups.push(() => quotaReset.close());
  return { ...quotaReset, resets };
}

test('two schedulers reset each period once, and one goes on when the other is gone', async () => {
  const gateway = gatewaysOn(await redisForTests());
  await gateway.use(Date.now() - 2 * dayMs, 300);
  const [one, two] = [startScheduler(gateway.target), startScheduler(gateway.target)];
  await Promise.all([one.start(), two.start()]);
  await until(async () => (await gateway.quota()).used === 0);
  await one.close();

  await gateway.admit(Date.now() - leaseMs - 1, 5, { ...daily, period: 'never' });
  await until(async () => (await gateway.leases()) === 0);
  expect([...one.resets, ...two.resets]).toEqual([tag]);
});

test('a schedule that got lost is laid out again', async () => {
  const gateway = gatewaysOn(await redisForTests());
  const scheduler = startScheduler(gateway.target);
  await scheduler.start();
  const ours = async () => (await gateway.redis.keys(`${bullPrefix}:limits:*`)).length;
  await until(async () => (await ours()) > 0);
  await gateway.redis.flushdb();
  await gateway.use(Date.now() - 2 * dayMs, 300);
  await until(() => scheduler.resets.length === 1);
});

test('on a Redis Cluster quotas are reset and leases ended as well', async () => {
  const gateway = gatewaysOn(await redisClusterForTests(), true);
  await gateway.use(Date.now() - 2 * dayMs, 300);
  await gateway.admit(Date.now() - 2 * dayMs, 5);
  const scheduler = startScheduler(gateway.target);
  await scheduler.start();
  await until(() => scheduler.resets.length === 1);
  expect([await gateway.quota(), await gateway.leases()]).toEqual([{ used: 0, reserved: 0 }, 0]);
});

test('starting and closing do not hang while Redis is away', async () => {
  const quotaReset = openQuotaReset({
    redis: { url: 'redis://127.0.0.1:1' },
    onReaped: () => undefined,
    onReset: () => undefined,
    log: () => undefined,
  });
  void quotaReset.start().catch(() => undefined);
  expect(quotaReset.isWell()).toBe(false);
  await expect.poll(() => quotaReset.found()).toMatch(/^failing since .*: connect ECONNREFUSED/);
  await quotaReset.close();
});
