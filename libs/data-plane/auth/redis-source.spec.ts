import { hashOfKey, keyIdOfHash } from '@llmproxy/key-store';
import { redisForTests } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { systemClock } from '@llmproxy/time';
import { expect, onTestFinished, test } from 'vitest';
import { openPipeline, redisSource } from './index.ts';
import { inboundWith } from './testing/inbound.ts';

const secret = 'sk-test-0123456789';

async function open(keyPattern = 'llmproxy:key:{api_key}') {
  const place = await redisForTests();
  const redis = connectRedis({ url: place.url, connectionName: 'spec', whenDown: 'queue' });
  onTestFinished(async () => {
    await closeRedis(redis);
    await place[Symbol.asyncDispose]();
  });
  const reasons: string[] = [];
  const pipeline = openPipeline({
    mode: 'first_match',
    clock: systemClock,
    providers: [
      {
        name: 'theirs',
        source: redisSource({ redis, keyPattern }),
        onError: 'deny',
        timeoutMs: 5000,
        cache: { ttlMs: 60_000, negativeTtlMs: 60_000, entriesMax: 10 },
      },
    ],
    onProblem: ({ reason }) => reasons.push(reason),
  });
  const check = async (key = secret) => pipeline.check(key, '203.0.113.7', inboundWith());
  return { redis, pipeline, check, reasons };
}

test('a hash in the documented layout is a key', async () => {
  const { redis, check } = await open();
  await redis.hset(`llmproxy:key:${secret}`, {
    user_id: 'u1',
    name: 'ci',
    status: 'enabled',
    quota: '1000',
    used: '10',
    expire_at: '4102444800',
    allowed_ips: '203.0.113.0/24,10.0.0.7',
  });
  expect(await check()).toMatchObject({
    userId: 'u1',
    name: 'ci',
    allowance: { quota: { total: 1000, used: 10 } },
  });
});

test.each([
  [{ status: 'disabled' }, 'key_not_active'],
  [{ status: '1' }, 'key_not_active'],
  [{ status: 'enabled', expire_at: '1' }, 'key_not_active'],
  [{ status: 'enabled', quota: '10', used: '10' }, 'insufficient_quota'],
  [{ status: 'enabled', allowed_ips: '10.0.0.7' }, 'ip_not_allowed'],
])('a hash with %j is refused', async (hash, code) => {
  const { redis, check } = await open();
  await redis.hset(`llmproxy:key:${secret}`, hash);
  await expect(check()).rejects.toMatchObject({ code });
});

test('JSON text is a key as well', async () => {
  const { redis, check } = await open();
  await redis.set(
    `llmproxy:key:${secret}`,
    JSON.stringify({ name: 'ci', status: 0, allowed_models: ['gpt-4*'] }),
  );
  expect(await check()).toMatchObject({ name: 'ci' });
});

test('a key without an entry is unknown', async () => {
  const { check } = await open();
  await expect(check()).rejects.toMatchObject({ code: 'invalid_api_key' });
});

test.each([
  ['a list', (redis: ReturnType<typeof connectRedis>, name: string) => redis.rpush(name, 'x')],
  [
    'text that is no JSON',
    (redis: ReturnType<typeof connectRedis>, name: string) => redis.set(name, 'active'),
  ],
  ['JSON null', (redis: ReturnType<typeof connectRedis>, name: string) => redis.set(name, 'null')],
  ['a JSON array', (redis: ReturnType<typeof connectRedis>, name: string) => redis.set(name, '[]')],
])('an entry that is %s lets nobody in, and is told without the key', async (_, put) => {
  const { redis, check, reasons } = await open();
  await put(redis, `llmproxy:key:${secret}`);
  await expect(check()).rejects.toMatchObject({ code: 'auth_unavailable' });
  expect(reasons).toHaveLength(1);
  expect(reasons[0]).not.toContain(secret);
});

test('Redis that is gone is an error, not an unknown key', async () => {
  const { redis, check } = await open();
  await closeRedis(redis);
  await expect(check()).rejects.toMatchObject({ code: 'auth_unavailable' });
});

test('entries may be named by the hash of the key', async () => {
  const { redis, check } = await open('keys/{api_key_sha256}');
  await redis.hset(`keys/${hashOfKey(secret)}`, { name: 'ci' });
  expect(await check()).toMatchObject({ name: 'ci' });
});

test('a key that spells a placeholder or a pattern is looked up as it is', async () => {
  const { redis, check } = await open('k:{api_key}:{api_key}');
  await redis.hset('k:$&{api_key}:$&{api_key}', { name: 'odd' });
  expect(await check('$&{api_key}')).toMatchObject({ name: 'odd' });
});

test('a pattern without a place for the key is refused at the start', () => {
  expect(() => redisSource({ redis: {} as never, keyPattern: 'llmproxy:key' })).toThrow('{api_key}');
});

test('a revoked key is refused from the moment it is forgotten', async () => {
  const { redis, check, pipeline } = await open();
  await redis.hset(`llmproxy:key:${secret}`, { status: 'enabled' });
  await check();
  await redis.hset(`llmproxy:key:${secret}`, { status: 'disabled' });
  pipeline.forget(keyIdOfHash(hashOfKey(secret)));
  await expect(check()).rejects.toMatchObject({ code: 'key_not_active' });
});
