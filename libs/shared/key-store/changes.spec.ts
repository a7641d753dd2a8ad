import { redisForTests } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { expect, onTestFinished, test, vi } from 'vitest';
import { asChange, nameLatestChange, readChanges } from './changes.ts';
import { changeKeyRecord, hashOfKey, maskKey, removeKeyRecord, storeKeyRecord } from './index.ts';

const secret = 'sk-llmproxy-aaaabbbbccccddddeeeeffffgggghhhh';
const sha256 = hashOfKey(secret);
const record = () => ({
  name: 'ci',
  masked_key: maskKey(secret),
  status: 'active' as const,
  created_at: '2026-01-15T00:00:00.000Z',
  updated_at: '2026-01-15T00:00:00.000Z',
});

test('each change is under way before it is made, and the latest after, under a name that never comes back', async () => {
  const place = await redisForTests();
  onTestFinished(() => place[Symbol.asyncDispose]());
  const redis = connectRedis({ ...place, connectionName: 'spec', whenDown: 'queue' });
  onTestFinished(() => closeRedis(redis));
  expect(await readChanges(redis)).toEqual({ areUnderWay: false, latest: undefined });
  await nameLatestChange(redis);
  const names = new Set<string | undefined>();
  const settled = async () => {
    const { areUnderWay, latest } = await readChanges(redis);
    names.add(latest);
    return !areUnderWay;
  };
  expect(await settled()).toBe(true);
  await storeKeyRecord(redis, sha256, record());
  expect(await settled()).toBe(true);
  await changeKeyRecord(redis, sha256, (before) => ({ ...before, status: 'disabled' }));
  expect(await settled()).toBe(true);
  await removeKeyRecord(redis, sha256);
  expect(await settled()).toBe(true);
  expect(names.size).toBe(4);
  expect(names).not.toContain(undefined);
  // Of two at once the quick one is done while the slow one may still be made.
  let finish = (): void => undefined;
  const slow = asChange(redis, () => new Promise<void>((resolve) => (finish = resolve)));
  await vi.waitUntil(async () => !(await settled()));
  await asChange(redis, () => Promise.resolve());
  expect(await settled()).toBe(false);
  finish();
  await slow;
  expect(await settled()).toBe(true);
  await expect(asChange(redis, () => Promise.reject(new Error('died')))).rejects.toThrow('died');
  expect(await settled()).toBe(false);
  // Nobody works on it any more after ten minutes, but it may have been made.
  const size = names.size;
  const fields = Object.keys(await redis.hgetall('lp:keys:changes'));
  for (const field of fields.filter((name) => name !== 'latest'))
    await redis.hincrby('lp:keys:changes', field, -601);
  expect(await settled()).toBe(true);
  expect(names.size).toBe(size + 1);
  expect(await settled()).toBe(true);
  expect(names.size).toBe(size + 1);
});

test('the end of a change that is told twice, or late, is no name that was there before', async () => {
  const place = await redisForTests();
  onTestFinished(() => place[Symbol.asyncDispose]());
  const redis = connectRedis({ ...place, connectionName: 'spec', whenDown: 'queue' });
  onTestFinished(() => closeRedis(redis));
  const told: (() => Promise<unknown>)[] = [];
  const evalNow = redis.eval.bind(redis) as (...call: unknown[]) => Promise<unknown>;
  const spy = vi.spyOn(redis, 'eval').mockImplementation((...call: unknown[]) => {
    told.push(() => evalNow(...call));
    return evalNow(...call);
  });
  await asChange(redis, () => Promise.resolve());
  spy.mockRestore();
  const { latest } = await readChanges(redis);
  await asChange(redis, () => Promise.resolve());
  await told.at(-1)?.(); // as a connection that broke before the answer sends it again
  expect((await readChanges(redis)).latest).not.toBe(latest);
});
