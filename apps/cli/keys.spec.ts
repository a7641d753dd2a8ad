import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { copyFileIn, openKeyCopy, readCopy } from '@llmproxy/key-copy';
import {
  findKeyRecord,
  followRevocations,
  hashOfKey,
  keyIdOfHash,
  storeKeyRecord,
} from '@llmproxy/key-store';
import { redisForTests, startRedis } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { expect, onTestFinished, test, vi } from 'vitest';
import { keysCommand } from './keys.ts';

const builtin = { name: 'store', type: 'builtin' };
const elsewhere = { name: 'few', type: 'static', static: { keys: [{ key: 'sk-static-0123456789' }] } };

function configFile(redisUrl: string, provider: object = builtin, redis: object = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'keys-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'config.yaml');
  writeFileSync(
    path,
    JSON.stringify({
      backends: [{ url: 'http://127.0.0.1:9' }],
      redis: { url: redisUrl, ...redis },
      auth: { pipeline: [provider] },
      data_dir: folder,
    }),
  );
  return path;
}

async function setUp(provider?: object) {
  const place = await redisForTests();
  onTestFinished(() => place[Symbol.asyncDispose]());
  const connect = () => {
    const redis = connectRedis({ ...place, connectionName: 'spec', whenDown: 'queue' });
    onTestFinished(() => closeRedis(redis));
    return redis;
  };
  return { config: configFile(place.url, provider), redis: connect(), connect };
}

/** What a command said, and its exit code. */
async function keys(config: string, ...args: string[]) {
  const results: string[] = [];
  const notes: string[] = [];
  const out = { result: (line: string) => results.push(line), note: (line: string) => notes.push(line) };
  const code = await keysCommand([...args, '-c', config], out);
  return { code, results, notes: notes.join('\n') };
}

async function added(config: string, ...args: string[]) {
  const { results } = await keys(config, 'add', ...args);
  const [secret = ''] = results;
  return { secret, sha256: hashOfKey(secret), id: keyIdOfHash(hashOfKey(secret)) };
}

test('a new key is printed once, alone on stdout, and only its hash is stored', async () => {
  const { config, redis } = await setUp();
  const args = [
    '--name',
    'ci',
    '--user',
    'u1',
    '--models',
    'gpt-4o,llama-*',
    '--quota',
    '1000',
    '--expires',
    '30d',
  ];
  const { code, results, notes } = await keys(config, 'add', ...args);
  expect(code).toBe(0);
  expect(results).toEqual([expect.stringMatching(/^sk-llmproxy-[A-Za-z0-9]{32}$/) as string]);
  const [secret = ''] = results;
  expect(notes).toContain(keyIdOfHash(hashOfKey(secret)));
  expect(notes).not.toContain(secret);
  expect(await findKeyRecord(redis, hashOfKey(secret))).toMatchObject({
    name: 'ci',
    user_id: 'u1',
    status: 'active',
    allowed_models: ['gpt-4o', 'llama-*'],
    total_quota: 1000,
  });
  for (const name of await redis.keys('lp:keys:*')) {
    const value = name === 'lp:keys:changes' ? await redis.hgetall(name) : await redis.get(name);
    expect(name + JSON.stringify(value)).not.toContain(secret);
  }
});

test('whoever adds a key that no provider would know is told', async () => {
  const { config } = await setUp(elsewhere);
  const { notes } = await keys(config, 'add', '--name', 'ci');
  expect(notes).toContain('auth.pipeline has no enabled provider of type builtin');
});

test('a name that is taken is refused with the id of who has it', async () => {
  const { config } = await setUp();
  const { id } = await added(config, '--name', 'ci');
  await expect(keys(config, 'add', '--name', 'ci')).rejects.toThrow(
    `there is a key named "ci" already: ${id}`,
  );
});

test('the list shows what each key may do, and no secret', async () => {
  const { config, redis } = await setUp();
  const first = await added(config, '--name', 'ci', '--quota', '5', '--quota-period', 'daily');
  const second = await added(config, '--name', 'batch\u001b[2J', '--models', 'gpt-4o', '--user', 'u2');
  await redis.set(`lp:keys:${'f'.repeat(64)}`, 'damaged');
  const { results } = await keys(config, 'list');
  const text = results.join('\n');
  expect(results[0]).toMatch(/^ID +NAME +KEY +USER +STATUS +MODELS +QUOTA +EXPIRES +CREATED$/);
  expect(text).toMatch(
    new RegExp(`^${first.id} +ci +sk-l\\*\\*\\*\\w{4} +- +active +all +5 daily +never `, 'm'),
  );
  expect(text).toMatch(
    new RegExp(`^${second.id} +batch\\?\\[2J +.* +u2 +active +gpt-4o +unlimited +never `, 'm'),
  );
  expect(text).toContain(`${'f'.repeat(32)}  (unreadable: the record is not JSON)`);
  expect(text).not.toContain(first.secret);
  const json = (await keys(config, 'list', '--json')).results.map((line) => JSON.parse(line) as object);
  expect(json).toContainEqual(expect.objectContaining({ id: first.id, name: 'ci', total_quota: 5 }));
  expect(json).toContainEqual({ id: 'f'.repeat(32), unreadable: 'the record is not JSON' });
});

test('a key is disabled, enabled and removed by its id or its name, and gateways hear of each', async () => {
  const { config, redis, connect } = await setUp();
  const { id, sha256 } = await added(config, '--name', 'ci');
  const heard: string[] = [];
  let following = false;
  const feed = followRevocations({
    subscriber: connect(),
    onForget: (keyId) => heard.push(keyId),
    onForgetAll: () => (following = true),
  });
  onTestFinished(() => feed.close());
  await vi.waitUntil(() => following);
  const status = async () => (await findKeyRecord(redis, sha256))?.status;

  expect((await keys(config, 'disable', 'ci')).code).toBe(0);
  expect(await status()).toBe('disabled');
  await keys(config, 'enable', id);
  expect(await status()).toBe('active');
  expect((await keys(config, 'remove', id.toUpperCase())).notes).toContain(id);
  expect(await status()).toBeUndefined();
  await vi.waitUntil(() => heard.filter((keyId) => keyId === id).length === 3);
});

test('with a key goes the count of what it used', async () => {
  const { config, redis } = await setUp();
  const { id } = await added(config, '--name', 'ci', '--quota', '5');
  await redis.hset(`lp:{k:${id}}:quota`, { used: 4, reserved: 0, start: 0 });
  await keys(config, 'remove', 'ci');
  expect(await redis.exists(`lp:{k:${id}}:quota`)).toBe(0);
});

test('a record that is damaged can be removed', async () => {
  const { config, redis } = await setUp();
  await redis.set(`lp:keys:${'f'.repeat(64)}`, 'damaged');
  expect((await keys(config, 'remove', 'f'.repeat(32))).code).toBe(0);
  expect((await keys(config, 'list', '--json')).results).toEqual([]);
});

test('two keys of one name are told apart by their ids only', async () => {
  const { config, redis } = await setUp();
  const one = await added(config, '--name', 'ci');
  const record = await findKeyRecord(redis, one.sha256);
  const other = 'e'.repeat(64);
  if (record) await storeKeyRecord(redis, other, record);
  await expect(keys(config, 'remove', 'ci')).rejects.toThrow('2 keys are named "ci"; say which by its id: ');
  await keys(config, 'remove', one.id);
  expect(await findKeyRecord(redis, other)).toBeDefined();
});

test('an unknown key is an error, and a secret typed in its place is not repeated', async () => {
  const { config } = await setUp();
  await expect(keys(config, 'disable', 'nobody')).rejects.toThrow('no key has the id or name "nobody"');
  const { secret } = await added(config, '--name', 'ci');
  const error = await keys(config, 'disable', secret).catch(String);
  expect(error).toContain('not by the key itself');
  expect(error).not.toContain(secret);
});

test.each([[[]], [['rename', 'ci']], [['remove']], [['disable', 'a', 'b']]])(
  '"keys %s" says how to call it',
  async (args) => {
    const { code, notes } = await keys(configFile('redis://127.0.0.1:1'), ...args);
    expect(code).toBe(2);
    expect(notes).toContain('usage: llmproxy keys add --name NAME');
  },
);

test('a Redis that is away is named, without its password', async () => {
  const config = configFile('redis://:hunter2@127.0.0.1:1');
  const error = await keys(config, 'list').catch(String);
  expect(error).toContain('Redis at redis://***@127.0.0.1:1 does not answer');
  expect(error).not.toContain('hunter2');
});

test('a Redis that refuses is not said to be silent', async () => {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const redis = connectRedis({ url: server.url, connectionName: 'spec', whenDown: 'queue' });
  onTestFinished(() => closeRedis(redis));
  await redis.call('ACL', 'SETUSER', 'narrow', 'on', '>pw', 'allkeys', '+info');
  const config = configFile(server.url, builtin, { username: 'narrow', password: 'pw' });
  await expect(keys(config, 'list')).rejects.toThrow(/Redis at .* refuses: NOPERM/);
});

test('no key is entrusted to a Redis that may evict it, but what takes a right away is done', async () => {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const redis = connectRedis({ url: server.url, connectionName: 'spec', whenDown: 'queue' });
  onTestFinished(() => closeRedis(redis));
  const config = configFile(server.url);
  const { id, sha256 } = await added(config, '--name', 'ci');
  await redis.config('SET', 'maxmemory', '1gb', 'maxmemory-policy', 'allkeys-lru');
  const refusal = /may evict .*allkeys-lru.*redis\.allow_eviction: true/;
  await expect(keys(config, 'add', '--name', 'other')).rejects.toThrow(/^no key was made: /);
  await expect(keys(config, 'add', '--name', 'other')).rejects.toThrow(refusal);
  expect((await keys(config, 'disable', id)).notes).toMatch(refusal);
  expect(await findKeyRecord(redis, sha256)).toMatchObject({ status: 'disabled' });
  await expect(keys(config, 'enable', id)).rejects.toThrow(refusal);
  expect((await keys(config, 'remove', id)).notes).toMatch(refusal);
  expect(await findKeyRecord(redis, sha256)).toBeUndefined();
  const allowed = configFile(server.url, builtin, { allow_eviction: true });
  expect((await keys(allowed, 'add', '--name', 'other')).code).toBe(0);
});

test('keys that Redis has lost are restored from the copy, or removed for good, and none that was removed comes back', async () => {
  const { config, redis } = await setUp();
  const folder = dirname(config);
  const [lost, unwanted, removed] = [
    await added(config, '--name', 'lost'),
    await added(config, '--name', 'unwanted'),
    await added(config, '--name', 'removed'),
  ];
  const target = { url: (JSON.parse(readFileSync(config, 'utf8')) as { redis: { url: string } }).redis.url };
  const keeper = openKeyCopy({
    redis: target,
    path: copyFileIn(folder),
    evicts: () => false,
    intervalMs: 20,
    onRestored: () => undefined,
    onRemovedAgain: () => undefined,
    onDoubt: () => undefined,
    onDiskProblem: () => undefined,
  });
  await vi.waitUntil(async () => (await readCopy(copyFileIn(folder)))?.records.size === 3, {
    timeout: 10_000,
  });
  await keeper.close();
  const moved = join(folder, 'moved.json');
  copyFileSync(copyFileIn(folder), moved);
  await keys(config, 'remove', removed.id);
  for (const { sha256 } of [lost, unwanted]) await redis.del(`lp:keys:${sha256}`);
  await expect(keys(config, 'disable', lost.id)).rejects.toThrow(/no key has the id/);
  expect((await keys(config, 'remove', 'unwanted')).notes).toContain(unwanted.id);
  await expect(keys(config, 'restore', 'nobody')).rejects.toThrow('the copy has no key "nobody"');
  await expect(keys(config, 'restore', '--from', join(folder, 'nowhere'))).rejects.toThrow(
    /there is no .*nowhere/,
  );
  const { code, results, notes } = await keys(config, 'restore', '--from', moved);
  expect({ code, results }).toEqual({ code: 0, results: [`${lost.id} "lost"`] });
  expect(notes).toMatch(/^1 restored/);
  const { results: listed } = await keys(config, 'list', '--json');
  expect(listed.map((line) => (JSON.parse(line) as { name: string }).name)).toEqual(['lost']);
});
