import { findKeyRecord, followRevocations, hashOfKey, maskKey, storeKeyRecord } from '@llmproxy/key-store';
import { redisForTests } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { FakeClock } from '@llmproxy/time';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openPipeline, type KeySource } from './index.ts';
import { inboundWith } from './testing/inbound.ts';

const secret = 'sk-test-0123456789';
const record = (status: 'active' | 'disabled') => ({
  name: 'ci',
  masked_key: maskKey(secret),
  status,
  created_at: '2026-01-15T00:00:00Z',
  updated_at: '2026-01-15T00:00:00Z',
});

async function openStore() {
  const place = await redisForTests();
  onTestFinished(() => place[Symbol.asyncDispose]());
  const connect = () => {
    const redis = connectRedis({ url: place.url, connectionName: 'spec', whenDown: 'queue' });
    onTestFinished(() => closeRedis(redis));
    return redis;
  };
  const redis = connect();
  const store = (status: 'active' | 'disabled') => storeKeyRecord(redis, hashOfKey(secret), record(status));
  return { connect, store };
}

/** A gateway worker that keeps what it learned for a second of a clock that stands still. */
function openWorker(connect: () => ReturnType<typeof connectRedis>) {
  const redis = connect();
  const clock = new FakeClock();
  const source: KeySource = { lookup: ({ secretHash }) => findKeyRecord(redis, secretHash) };
  const cache = { ttlMs: 1000, negativeTtlMs: 1000, entriesMax: 100 };
  const pipeline = openPipeline({
    mode: 'first_match',
    clock,
    providers: [{ name: 'builtin', source, onError: 'deny', timeoutMs: 5000, cache }],
  });
  const outcome = async (): Promise<string> => {
    try {
      await pipeline.check(secret, '203.0.113.7', inboundWith());
      return 'let in';
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  /** Resolves once it hears of changes. */
  const follow = async () => {
    const listening = Promise.withResolvers<void>();
    const feed = followRevocations({
      subscriber: connect(),
      onForget: (keyId) => pipeline.forget(keyId),
      onForgetAll: () => {
        pipeline.forgetAll();
        listening.resolve();
      },
    });
    onTestFinished(() => feed.close());
    await listening.promise;
  };
  return { outcome, follow, clock };
}

test('a key that is revoked is refused by every worker, however fresh what they remember', async () => {
  const { connect, store } = await openStore();
  const workers = [openWorker(connect), openWorker(connect), openWorker(connect)];
  await Promise.all(workers.map(({ follow }) => follow()));
  await store('active');
  expect(await Promise.all(workers.map(({ outcome }) => outcome()))).toEqual(['let in', 'let in', 'let in']);
  await store('disabled');
  for (const { outcome } of workers) await vi.waitUntil(async () => (await outcome()) === 'key_not_active');
});

test('a key that is created is let in at once, though it was unknown a moment ago', async () => {
  const { connect, store } = await openStore();
  const { outcome, follow } = openWorker(connect);
  await follow();
  expect(await outcome()).toBe('invalid_api_key');
  await store('active');
  await vi.waitUntil(async () => (await outcome()) === 'let in');
});

test('a worker that misses the message refuses the key once its memory is a second old', async () => {
  const { connect, store } = await openStore();
  const { outcome, clock } = openWorker(connect);
  await store('active');
  expect(await outcome()).toBe('let in');
  await store('disabled');
  expect(await outcome()).toBe('let in');
  clock.advance(1000);
  expect(await outcome()).toBe('key_not_active');
});
