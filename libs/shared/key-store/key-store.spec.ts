import { redisClusterForTests, startRedis, type PrivateServer } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import {
  changeKeyRecord,
  findKeyRecord,
  followRevocations,
  hashOfKey,
  keyIdOfHash,
  listKeyRecords,
  maskKey,
  publishRevocation,
  removedKeptMs,
  removeKeyRecord,
  restoreKeyRecord,
  storeKeyRecord,
  type KeyRecord,
  type StoredKey,
} from './index.ts';

const secret = 'sk-llmproxy-aaaabbbbccccddddeeeeffffgggghhhh';
const sha256 = hashOfKey(secret);

const record = (over: Partial<KeyRecord> = {}): KeyRecord => ({
  name: 'ci',
  masked_key: maskKey(secret),
  status: 'active',
  created_at: '2026-01-15T00:00:00.000Z',
  updated_at: '2026-01-15T00:00:00.000Z',
  ...over,
});

// A server of our own: messages cross the logical databases that specs share.
let server: PrivateServer;
beforeAll(async () => void (server = await startRedis()));
afterAll(() => server.stop());

async function openRedis() {
  const connect = () => {
    const redis = connectRedis({ url: server.url, connectionName: 'spec', whenDown: 'queue' });
    onTestFinished(() => closeRedis(redis));
    return redis;
  };
  const redis = connect();
  await redis.flushall();
  return { redis, connect };
}

/** Follows the channel; resolves once the subscription is in place. */
async function follow(subscriber: ReturnType<typeof connectRedis>) {
  const heard: string[] = [];
  const feed = followRevocations({
    subscriber,
    onForget: (keyId) => heard.push(keyId),
    onForgetAll: () => heard.push('all'),
  });
  onTestFinished(() => feed.close());
  await vi.waitUntil(() => heard.length > 0);
  expect(heard.splice(0)).toEqual(['all']);
  return { heard, feed };
}

test('a key is known by 64 hex digits, and by the first 32 of them elsewhere', () => {
  expect(hashOfKey('sk-1')).toBe('0f2c10bf3d128c719c6bfa4ecbae94b7fceebaea6e4438fef38a90e5acc326f3');
  expect(keyIdOfHash('0123456789abcdef'.repeat(4))).toBe('0123456789abcdef0123456789abcdef');
});

test('what was stored is found as it was, under a name that tells nothing of the secret', async () => {
  const { redis } = await openRedis();
  const stored = record({
    user_id: 'u1',
    allowed_models: ['gpt-4o', 'llama-*'],
    denied_ips: ['10.0.0.0/8', '2001:db8::/32'],
    total_quota: 0,
    limits: { requests_per_minute: 100 },
  });
  await storeKeyRecord(redis, sha256, stored);
  expect(await findKeyRecord(redis, sha256)).toEqual(stored);
  expect((await redis.keys('*')).toSorted()).toEqual(['lp:keys:changes', `lp:keys:${sha256}`]);
  expect(await redis.get(`lp:keys:${sha256}`)).not.toContain(secret);
  expect(await findKeyRecord(redis, hashOfKey('sk-unknown'))).toBeUndefined();
});

const text = fc.string({ unit: 'grapheme', maxLength: 30 });
const instant = fc
  .date({ min: new Date(0), max: new Date('9999-01-01'), noInvalidDate: true })
  .map((date) => date.toISOString());
const amount = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (value === 0 ? 0 : value));
const records = fc.record(
  {
    name: text,
    masked_key: text,
    status: fc.constantFrom('active', 'disabled', 'expired', 'quota_exceeded'),
    created_at: instant,
    updated_at: instant,
    user_id: text,
    starts_at: instant,
    expires_at: instant,
    allowed_ips: fc.array(text),
    denied_ips: fc.array(text),
    allowed_models: fc.array(text),
    total_quota: amount,
    balance: amount,
    limits: fc.record({ requests_per_second: amount, max_concurrent: amount }, { requiredKeys: [] }),
  },
  { requiredKeys: ['name', 'masked_key', 'status', 'created_at', 'updated_at'] },
);

test('no record changes on its way through the store', async () => {
  const { redis } = await openRedis();
  await fc.assert(
    fc.asyncProperty(records, async (any) => {
      await storeKeyRecord(redis, sha256, any as KeyRecord);
      expect(await findKeyRecord(redis, sha256)).toEqual(any);
    }),
    { numRuns: 50 },
  );
});

test('a key whose record is damaged is an error, not an unknown key', async () => {
  const { redis } = await openRedis();
  const put = (value: string) => redis.set(`lp:keys:${sha256}`, value);
  await put('not json: sk-secret');
  await expect(findKeyRecord(redis, sha256)).rejects.toThrow(/^the record is not JSON$/);
  await put(JSON.stringify({ ...record(), status: 'whatever' }));
  await expect(findKeyRecord(redis, sha256)).rejects.toThrow(/^status: /);
  await put(JSON.stringify({ ...record(), denied_weekdays: ['monday'] }));
  await expect(findKeyRecord(redis, sha256)).rejects.toThrow(/denied_weekdays/);
});

test('nothing is stored under a name that could be a secret', async () => {
  const { redis } = await openRedis();
  await expect(storeKeyRecord(redis, secret, record())).rejects.toThrow('64 hex digits');
  await expect(findKeyRecord(redis, secret)).rejects.toThrow('64 hex digits');
  expect(await redis.dbsize()).toBe(0);
});

test('every change is heard of: stored, changed, removed, revoked elsewhere', async () => {
  const { redis, connect } = await openRedis();
  const { heard } = await follow(connect());
  const keyId = keyIdOfHash(sha256);
  await storeKeyRecord(redis, sha256, record());
  await changeKeyRecord(redis, sha256, (before) => ({ ...before, status: 'disabled' }));
  expect(await removeKeyRecord(redis, sha256)).toBe(true);
  await publishRevocation(redis, { keyId: '0'.repeat(32) });
  await publishRevocation(redis, { all: true });
  await vi.waitUntil(() => heard.length >= 5);
  expect(heard).toEqual([keyId, keyId, keyId, '0'.repeat(32), 'all']);
});

test('a message that cannot be read forgets all', async () => {
  const { redis, connect } = await openRedis();
  const { heard } = await follow(connect());
  await redis.publish('lp:keys', '{"keyId":"../../etc"}');
  await redis.publish('lp:keys', 'nonsense');
  await vi.waitUntil(() => heard.length >= 2);
  expect(heard).toEqual(['all', 'all']);
});

test('after the subscriber has lost its connection, all is forgotten and the next message is heard', async () => {
  const { redis, connect } = await openRedis();
  const subscriber = connect();
  const connection = await subscriber.client('ID');
  const { heard } = await follow(subscriber);
  await redis.client('KILL', 'ID', connection);
  await vi.waitUntil(() => heard.includes('all'));
  await storeKeyRecord(redis, sha256, record());
  await vi.waitUntil(() => heard.includes(keyIdOfHash(sha256)));
});

test('who has stopped following hears nothing more', async () => {
  const { redis, connect } = await openRedis();
  const subscriber = connect();
  const other = await follow(connect());
  const { heard, feed } = await follow(subscriber);
  feed.close();
  await publishRevocation(redis, { all: true });
  await vi.waitUntil(() => other.heard.length > 0);
  expect(heard).toEqual([]);
});

test('changes made at the same time are all kept', async () => {
  const { redis, connect } = await openRedis();
  await storeKeyRecord(redis, sha256, record({ allowed_models: [] }));
  const editors = [redis, connect(), connect()];
  await Promise.all(
    editors.map((editor, index) =>
      changeKeyRecord(editor, sha256, (before) => ({
        ...before,
        allowed_models: [...(before.allowed_models ?? []), `model-${index}`],
      })),
    ),
  );
  const models = (await findKeyRecord(redis, sha256))?.allowed_models;
  expect(models?.toSorted()).toEqual(['model-0', 'model-1', 'model-2']);
});

test('a change does not bring a removed key back', async () => {
  const { redis } = await openRedis();
  await storeKeyRecord(redis, sha256, record());
  const remover = redis.duplicate();
  onTestFinished(() => closeRedis(remover));
  let removal: Promise<boolean> | undefined;
  const changed = await changeKeyRecord(redis, sha256, (before) => {
    removal ??= removeKeyRecord(redis, sha256); // sent on this connection, so before the change is
    return { ...before, status: 'active' };
  });
  expect(await removal).toBe(true);
  expect(changed).toBeUndefined();
  expect(await findKeyRecord(redis, sha256)).toBeUndefined();
});

test('the list holds every key once, the unreadable ones with the reason', async () => {
  const { redis } = await openRedis();
  const hashes = Array.from({ length: 1200 }, (_, index) => hashOfKey(`sk-${index}`));
  await Promise.all(hashes.map((hash) => storeKeyRecord(redis, hash, record())));
  await redis.set(`lp:keys:${sha256}`, '{}');
  await redis.set('lp:keys:something-else', 'not ours');
  const found: StoredKey[] = [];
  for await (const entry of listKeyRecords(redis)) found.push(entry);
  expect(found.map((entry) => entry.sha256).toSorted()).toEqual([...hashes, sha256].toSorted());
  expect(found.filter((entry) => entry.record === undefined)).toMatchObject([
    { sha256, unreadable: expect.stringContaining('name') as string },
  ]);
});

test('on a Redis Cluster keys lie on all its servers, and every change is heard of', async () => {
  const place = await redisClusterForTests();
  onTestFinished(() => place[Symbol.asyncDispose]());
  const connect = () => {
    const redis = connectRedis({ ...place, connectionName: 'spec', whenDown: 'queue' });
    onTestFinished(() => closeRedis(redis));
    return redis;
  };
  const redis = connect();
  const { heard } = await follow(connect());
  const hashes = Array.from({ length: 30 }, (_, index) => hashOfKey(`sk-${index}`));
  await Promise.all(hashes.map((hash, index) => storeKeyRecord(redis, hash, record({ name: `n${index}` }))));
  const listed = new Map<string, string | undefined>();
  for await (const found of listKeyRecords(redis)) listed.set(found.sha256, found.record?.name);
  expect([...listed].toSorted()).toEqual(hashes.map((hash, index) => [hash, `n${index}`]).toSorted());
  const [first = ''] = hashes;
  expect(await findKeyRecord(redis, first)).toMatchObject({ name: 'n0' });
  const disabled = await changeKeyRecord(redis, first, (before) => ({ ...before, status: 'disabled' }));
  expect(disabled).toMatchObject({ status: 'disabled' });
  expect(await removeKeyRecord(redis, first)).toBe(true);
  const words = [...hashes, first, first].map(keyIdOfHash).toSorted();
  await vi.waitUntil(() => heard.length >= words.length);
  expect(heard.toSorted()).toEqual(words);
});

test('a removed key is gone for good: unknown, not listed, neither changed nor stored nor restored again', async () => {
  const { redis } = await openRedis();
  await storeKeyRecord(redis, sha256, record());
  expect(await removeKeyRecord(redis, sha256)).toBe(true);
  expect(await removeKeyRecord(redis, sha256)).toBe(false);
  expect(await findKeyRecord(redis, sha256)).toBeUndefined();
  expect(await changeKeyRecord(redis, sha256, (before) => before)).toBeUndefined();
  await expect(storeKeyRecord(redis, sha256, record())).rejects.toThrow('this key was removed');
  expect(await restoreKeyRecord(redis, sha256, JSON.stringify(record()))).toBe(false);
  expect((await listKeyRecords(redis).next()).done).toBe(true);
  const keptMs = await redis.pttl(`lp:keys:${sha256}`);
  expect(keptMs).toBeGreaterThan(removedKeptMs - 60_000);
});

test('a lost record is put back as it was, and only where there is none', async () => {
  const { redis } = await openRedis();
  const text = JSON.stringify(record());
  expect(await restoreKeyRecord(redis, sha256, text)).toBe(true);
  expect(await findKeyRecord(redis, sha256)).toEqual(record());
  expect(await restoreKeyRecord(redis, sha256, JSON.stringify(record({ status: 'disabled' })))).toBe(false);
  expect(await findKeyRecord(redis, sha256)).toEqual(record());
});
