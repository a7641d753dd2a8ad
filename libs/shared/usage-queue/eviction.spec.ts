/** A Redis that may evict what is queued in it gets no events: they wait on disk. */
import { startRedis } from '@llmproxy/real-services';
import { closeRedis, connectRedis, watchEviction } from '@llmproxy/redis';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openUsageConsumer, openUsageProducer } from './index.ts';
import { usageEvent } from './testing/usage-event.ts';

const patient = { timeout: 25_000 };
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

async function openRedis() {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const redis = connectRedis({ url: server.url, connectionName: 'spec', whenDown: 'queue' });
  onTestFinished(() => closeRedis(redis));
  const used = async () => Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
  return { url: server.url, redis, used };
}

test('no event is queued where it may be evicted, and none is lost', async () => {
  const { url, redis, used } = await openRedis();
  await redis.config(
    'SET',
    'maxmemory',
    String((await used()) + 4_000_000),
    'maxmemory-policy',
    'allkeys-lru',
  );
  const eviction = watchEviction({ redis, allowed: false });
  const told: string[] = [];
  const spoolDir = mkdtempSync(join(tmpdir(), 'evict-'));
  const producer = openUsageProducer({
    redis: { url },
    spoolDir,
    log: { ...silent, warn: (fields) => void told.push(JSON.stringify(fields)) },
    refusal: () => eviction.refusal(),
  });
  onTestFinished(async () => {
    eviction.close();
    await producer.close();
    rmSync(spoolDir, { recursive: true });
  });
  const events = Array.from({ length: 1_100 }, () => usageEvent());
  for (const event of events) producer.push(event);
  await producer.flush();
  const filling = redis.pipeline();
  for (let index = 0; index < 12; index++) filling.set(`of-somebody-else:${index}`, Buffer.alloc(1_000_000));
  await filling.exec();
  expect(Number(/evicted_keys:(\d+)/.exec(await redis.info('stats'))?.[1])).toBeGreaterThan(0);
  expect(producer.counts()).toMatchObject({ sent: 0, spooled: 1_100, dropped: 0 });
  expect(told).toEqual([expect.stringContaining('maxmemory-policy allkeys-lru')]);

  await redis.flushall();
  await redis.config('SET', 'maxmemory-policy', 'noeviction');
  const handled = new Map<string, number>();
  const consumer = openUsageConsumer({
    redis: { url },
    log: silent,
    handle: (batch) => {
      for (const { event_id } of batch) handled.set(event_id, (handled.get(event_id) ?? 0) + 1);
      return Promise.resolve();
    },
  });
  onTestFinished(() => consumer.close(1_000));
  await expect.poll(() => handled.size, patient).toBe(1_100);
  expect([...handled.values()].every((times) => times === 1)).toBe(true);
});

test('a policy that changes at run time turns events away from Redis', async () => {
  const { url, redis } = await openRedis();
  const eviction = watchEviction({ redis, allowed: false });
  const spoolDir = mkdtempSync(join(tmpdir(), 'evict-'));
  const producer = openUsageProducer({
    redis: { url },
    spoolDir,
    log: silent,
    refusal: () => eviction.refusal(),
  });
  onTestFinished(async () => {
    eviction.close();
    await producer.close();
    rmSync(spoolDir, { recursive: true });
  });
  producer.push(usageEvent());
  await producer.flush();
  expect(producer.counts()).toMatchObject({ sent: 1, spooled: 0, dropped: 0 });
  await redis.config('SET', 'maxmemory', '1gb', 'maxmemory-policy', 'allkeys-lru');
  const spooled = async () => {
    producer.push(usageEvent());
    await producer.flush();
    return producer.counts().spooled;
  };
  await expect.poll(spooled, { ...patient, interval: 500 }).toBeGreaterThan(0);
});

test('BullMQ prints nothing of its own about a policy that is allowed', async () => {
  const warn = vi.spyOn(console, 'warn');
  onTestFinished(() => warn.mockRestore());
  const { url, redis } = await openRedis();
  await redis.config('SET', 'maxmemory', '1gb', 'maxmemory-policy', 'allkeys-lru');
  const spoolDir = mkdtempSync(join(tmpdir(), 'evict-'));
  const producer = openUsageProducer({ redis: { url }, spoolDir, log: silent });
  onTestFinished(async () => {
    await producer.close();
    rmSync(spoolDir, { recursive: true });
  });
  producer.push(usageEvent());
  await producer.flush();
  expect(producer.counts()).toMatchObject({ sent: 1 });
  expect(warn).not.toHaveBeenCalled();
});
