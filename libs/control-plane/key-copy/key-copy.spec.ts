import {
  changeKeyRecord,
  findKeyRecord,
  hashOfKey,
  keyIdOfHash,
  listKeyRecords,
  maskKey,
  removeKeyRecord,
  storeKeyRecord,
} from '@llmproxy/key-store';
import { redisClusterForTests, startRedis } from '@llmproxy/real-services';
import { closeRedis, connectRedis, type RedisTarget } from '@llmproxy/redis';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { copyFileIn, openKeyCopy, readCopy } from './index.ts';

const patient = { timeout: 20_000 };
const secretOf = (name: string) => `sk-llmproxy-${name.padEnd(32, 'x')}`;
const hashOf = (name: string) => hashOfKey(secretOf(name));
const idOf = (name: string) => keyIdOfHash(hashOf(name));

async function openStore(target?: RedisTarget) {
  let url = target?.url;
  if (url === undefined) {
    const server = await startRedis(); // of our own: messages cross the logical databases that specs share
    onTestFinished(() => server.stop());
    url = server.url;
  }
  const place = { url, cluster: target?.cluster };
  const redis = connectRedis({ ...place, connectionName: 'spec', whenDown: 'queue' });
  onTestFinished(() => closeRedis(redis));
  const add = (...names: string[]) =>
    Promise.all(
      names.map((name) =>
        storeKeyRecord(redis, hashOf(name), {
          name,
          masked_key: maskKey(secretOf(name)),
          status: 'active',
          created_at: '2026-01-15T00:00:00.000Z',
          updated_at: '2026-01-15T00:00:00.000Z',
        }),
      ),
    );
  const disable = (name: string) =>
    changeKeyRecord(redis, hashOf(name), (record) => ({ ...record, status: 'disabled' }));
  const names = async () => {
    const found: string[] = [];
    for await (const { record } of listKeyRecords(redis)) found.push(record?.name ?? '?');
    return found.toSorted();
  };
  const lose = (...lost: string[]) => Promise.all(lost.map((name) => redis.del(`lp:keys:${hashOf(name)}`)));
  return { place, redis, add, disable, names, lose };
}

function freshPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'key-copy-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return copyFileIn(folder);
}

function keep(redis: RedisTarget, path: string, evicts = false) {
  const told = {
    restored: [] as string[],
    doubt: [] as string[],
    again: [] as string[],
    disk: [] as string[],
  };
  let looks = 0;
  const keeper = openKeyCopy({
    redis,
    path,
    evicts: () => (looks++, evicts), // asked once a look
    intervalMs: 50,
    onRestored: (ids) => told.restored.push(...ids),
    onDoubt: (ids) => told.doubt.push(...ids),
    onRemovedAgain: (ids) => told.again.push(...ids),
    onDiskProblem: (cause) => told.disk.push(cause),
  });
  let isClosed = false;
  const close = async () => {
    if (!isClosed) await keeper.close();
    isClosed = true;
  };
  onTestFinished(close);
  /** Resolves once the copy on disk holds these keys, and the word of every change before has been taken. */
  const holds = async (...names: string[]) => {
    await expect
      .poll(async () => [...((await readCopy(path))?.records.keys() ?? [])].toSorted(), patient)
      .toEqual(names.map(hashOf).toSorted());
    const before = looks;
    await expect.poll(() => looks, patient).toBeGreaterThan(before + 1);
  };
  return { ...told, found: () => keeper.found(), inDoubt: () => keeper.inDoubt(), close, holds };
}

test('records that Redis evicts are put back as they were', async () => {
  const { place, redis, add, disable, names } = await openStore();
  const all = Array.from({ length: 200 }, (_, index) => `key-${index}`);
  await add(...all);
  await disable('key-7');
  const { holds, restored, doubt } = keep(place, freshPath(), true);
  await holds(...all);
  const used = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
  await redis.config('SET', 'maxmemory', String(used + 2_000_000), 'maxmemory-policy', 'allkeys-random');
  for (let index = 0; index < 600; index++)
    await redis.set(`of-somebody-else:${index}`, Buffer.alloc(20_000));
  await expect.poll(() => restored.length, patient).toBeGreaterThan(0);
  await redis.config('SET', 'maxmemory', '0');
  await expect.poll(names, patient).toEqual(all.toSorted());
  expect(await findKeyRecord(redis, hashOf('key-7'))).toMatchObject({ status: 'disabled' });
  expect(doubt).toEqual([]);
});

test('an emptied Redis gets its keys back, once, by any of two schedulers, and none that was removed', async () => {
  const { place, redis, add, disable, names } = await openStore();
  await add('kept', 'off', 'removed');
  const schedulers = [keep(place, freshPath()), keep(place, freshPath())];
  for (const { holds } of schedulers) await holds('kept', 'off', 'removed');
  await disable('off');
  expect(await removeKeyRecord(redis, hashOf('removed'))).toBe(true);
  for (const { holds } of schedulers) await holds('kept', 'off');
  await redis.flushall();
  await expect.poll(names, patient).toEqual(['kept', 'off']);
  expect(await findKeyRecord(redis, hashOf('off'))).toMatchObject({ status: 'disabled' });
  expect(schedulers.flatMap(({ restored }) => restored).toSorted()).toEqual(
    [idOf('kept'), idOf('off')].toSorted(),
  );
  await expect.poll(() => schedulers.map(({ found }) => found()), patient).toEqual(['ok', 'ok']);
  expect(schedulers.flatMap(({ doubt }) => doubt)).toEqual([]);
});

test('what was evicted while no scheduler ran is put back by the next, from disk, when nothing was changed', async () => {
  const { place, add, lose, names } = await openStore();
  await add('a', 'b');
  const path = freshPath();
  const first = keep(place, path, true);
  await first.holds('a', 'b');
  await first.close();
  await lose('a');
  const { restored } = keep(place, path, true);
  await expect.poll(names, patient).toEqual(['a', 'b']);
  expect(restored).toEqual([idOf('a')]);
});

test.each(['removed', 'disabled'])(
  'a key that was %s while no scheduler ran, and evicted then with every trace of it, does not come back',
  async (how) => {
    const { place, redis, add, disable, lose, names } = await openStore();
    await add('gone', 'other');
    const path = freshPath();
    const first = keep(place, path, true);
    await first.holds('gone', 'other');
    await first.close();
    await (how === 'removed' ? removeKeyRecord(redis, hashOf('gone')) : disable('gone'));
    await lose('gone');
    const { doubt, found, restored } = keep(place, path, true);
    await expect.poll(() => doubt, patient).toEqual([idOf('gone')]);
    expect(found()).toMatch(/^1 key is missing/);
    await lose('other'); // nothing has changed since: that one is certain
    await expect.poll(() => restored, patient).toEqual([idOf('other')]);
    expect(await names()).toEqual(['other']);
    // Somebody decides: with a note of its removal there is nothing left to doubt.
    await removeKeyRecord(redis, hashOf('gone'));
    await expect.poll(found, patient).toBe('ok');
  },
);

test('a key does not come back whose removal or disabling nobody lived to record as done', async () => {
  const { place, redis, add, disable, lose, names } = await openStore();
  await add('removed', 'off', 'other');
  const path = freshPath();
  const first = keep(place, path, true);
  await first.holds('removed', 'off', 'other');
  await first.close();
  const latest = (await redis.hget('lp:keys:changes', 'latest')) ?? '';
  await removeKeyRecord(redis, hashOf('removed'));
  await disable('off');
  // As they leave it who die before the end of their change; eleven minutes ago.
  const [seconds] = await redis.time();
  const begun = { 'under-way:one': Number(seconds) - 660, 'under-way:two': Number(seconds) - 660 };
  await redis.hset('lp:keys:changes', { latest, ...begun });
  await lose('removed', 'off');
  const second = keep(place, path, true);
  await expect
    .poll(() => second.doubt.toSorted(), patient)
    .toEqual([idOf('removed'), idOf('off')].toSorted());
  await lose('other'); // which nobody has changed since
  await expect.poll(() => second.restored, patient).toEqual([idOf('other')]);
  expect(await names()).toEqual(['other']);
});

test('a key that is removed while thousands are put back stays away, even when its note is lost at once', async () => {
  const { place, redis, add, names } = await openStore();
  await add('first');
  const text = (await redis.get(`lp:keys:${hashOf('first')}`)) ?? '';
  const many = Array.from({ length: 4_000 }, (_, index) => `key-${index}`);
  await redis.mset(many.flatMap((name) => [`lp:keys:${hashOf(name)}`, text.replace('first', name)]));
  const path = freshPath();
  const { holds, inDoubt } = keep(place, path);
  await holds('first', ...many);
  // They are put back in the order of the copy.
  const victim = [...((await readCopy(path))?.records ?? [])].at(-1)?.[0] ?? '';
  await redis.flushall();
  await expect.poll(() => redis.dbsize(), { ...patient, interval: 1 }).toBeGreaterThan(200);
  await removeKeyRecord(redis, victim);
  await redis.flushall();
  const decided = async () => (await names()).length + inDoubt(); // the victim may be known to be removed
  await expect.poll(decided, patient).toBeGreaterThanOrEqual(many.length);
  expect(await findKeyRecord(redis, victim)).toBeUndefined();
});

test('a key that somebody deletes by hand is not put back where nothing is evicted', async () => {
  const { place, add, lose, names } = await openStore();
  await add('a', 'b');
  const { holds, doubt } = keep(place, freshPath());
  await holds('a', 'b');
  await lose('a');
  await expect.poll(() => doubt, patient).toEqual([idOf('a')]);
  expect(await names()).toEqual(['b']);
});

test('a removed key that is there again, as after a failover or from an old dump, is removed again', async () => {
  const { place, redis, add, names } = await openStore();
  await add('a', 'b');
  const text = (await redis.get(`lp:keys:${hashOf('a')}`)) ?? '';
  const { holds, again } = keep(place, freshPath());
  await removeKeyRecord(redis, hashOf('a'));
  await holds('b');
  await redis.set(`lp:keys:${hashOf('a')}`, text);
  await redis.publish('lp:keys', JSON.stringify({ keyId: idOf('a') }));
  await expect.poll(() => again, patient).toEqual([idOf('a')]);
  expect(await names()).toEqual(['b']);
});

test('on a Redis Cluster what was evicted is put back, and a server that comes back empty is doubt', async () => {
  const cluster = await redisClusterForTests();
  onTestFinished(() => cluster[Symbol.asyncDispose]());
  const { place, redis, add, lose, names } = await openStore(cluster);
  const all = Array.from({ length: 12 }, (_, index) => `key-${index}`);
  await add(...all);
  const evicting = keep(place, freshPath(), true);
  const other = keep(place, freshPath());
  await evicting.holds(...all);
  await other.holds(...all);
  await lose('key-3');
  await expect.poll(names, patient).toEqual(all.toSorted());
  expect(evicting.restored).toEqual([idOf('key-3')]);
  await evicting.close();
  if ('nodes' in redis) await Promise.all(redis.nodes('master').map((node) => node.flushall()));
  await expect.poll(() => other.inDoubt(), patient).toBe(12);
  expect(other.restored).toEqual([]);
});

test('the copy can be read by its owner only, and a damaged one is put aside', async () => {
  const { place, add } = await openStore();
  await add('a');
  const path = freshPath();
  const first = keep(place, path);
  await first.holds('a');
  await first.close();
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const text = readFileSync(path, 'utf8');
  expect(text).not.toContain(secretOf('a'));
  writeFileSync(path, text.slice(0, -20));
  const second = keep(place, path);
  await second.holds('a');
  expect(second.disk).toEqual([`${path} is no copy of keys`]);
  expect(readFileSync(`${path}.unreadable`, 'utf8')).toBe(text.slice(0, -20));
});
