import { redisForTests } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { expect, onTestFinished, test } from 'vitest';
import {
  changeKeyRecord,
  findKeyRecord,
  hashOfKey,
  listKeyRecords,
  readKeyTexts,
  removeKeyRecord,
  reservePlaces,
  storeKeyRecord,
  type KeyRecord,
} from './index.ts';

const record = (over: Partial<KeyRecord> = {}): KeyRecord => ({
  name: 'ci',
  masked_key: 'sk-l***aaaa',
  status: 'active',
  created_at: '2026-01-15T00:00:00.000Z',
  updated_at: '2026-01-15T00:00:00.000Z',
  ...over,
});

test('a lost record is put in the place that was kept for it, unless somebody touched the key meanwhile', async () => {
  const place = await redisForTests();
  onTestFinished(() => place[Symbol.asyncDispose]());
  const redis = connectRedis({ ...place, connectionName: 'spec', whenDown: 'queue' });
  onTestFinished(() => closeRedis(redis));
  const [quiet, removed, forgotten, stored, there] = ['a', 'b', 'c', 'd', 'e'].map(hashOfKey) as [
    string,
    string,
    string,
    string,
    string,
  ];
  await storeKeyRecord(redis, there, record());
  const places = await reservePlaces(redis, [quiet, removed, forgotten, stored, there]);
  expect(places.hashes).toEqual([quiet, removed, forgotten, stored]);
  expect((await reservePlaces(redis, [quiet])).hashes).toEqual([]);
  // As unknown as before.
  expect(await findKeyRecord(redis, quiet)).toBeUndefined();
  expect(await changeKeyRecord(redis, quiet, (before) => before)).toBeUndefined();
  expect(await readKeyTexts(redis, [quiet])).toEqual([]);
  for await (const { sha256: hash } of listKeyRecords(redis)) expect(hash).toBe(there);
  await removeKeyRecord(redis, removed);
  await removeKeyRecord(redis, forgotten);
  await redis.del(`lp:keys:${forgotten}`);
  expect((await reservePlaces(redis, [forgotten])).hashes).toEqual([forgotten]); // of somebody else
  await storeKeyRecord(redis, stored, record({ status: 'disabled' }));
  const texts = places.hashes.map((hash) => [hash, JSON.stringify(record())] as const);
  expect(await places.fill(new Map(texts))).toEqual([quiet]);
  expect(await findKeyRecord(redis, quiet)).toEqual(record());
  expect(await redis.pttl(`lp:keys:${quiet}`)).toBe(-1);
  for (const hash of [removed, forgotten]) expect(await findKeyRecord(redis, hash)).toBeUndefined();
  expect(await findKeyRecord(redis, stored)).toMatchObject({ status: 'disabled' });
});
