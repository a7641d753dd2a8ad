import { redisClusterForTests, startRedis, startRedisCluster } from '@llmproxy/real-services';
import { Queue, Worker } from 'bullmq';
import { expect, onTestFinished, test, vi } from 'vitest';
import { evictionFound, evictionOf, evictionRefusal } from './eviction.ts';
import { bullPrefix, closeRedis, connectForQueues, connectRedis, watchEviction } from './index.ts';
import type { RedisTarget } from './index.ts';

const info = (policy: string, maxmemory: number) =>
  `# Memory\r\nused_memory:1\r\nmaxmemory:${maxmemory}\r\nmaxmemory_human:1M\r\nmaxmemory_policy:${policy}\r\n`;

test.each([
  [[info('noeviction', 1000)], 'nothing', 'ok'],
  [[info('allkeys-lru', 0)], 'nothing', 'ok; allkeys-lru evicts nothing while there is no maxmemory'],
  [
    [info('volatile-ttl', 9)],
    'expiring',
    'ok; may evict what expires, such as rates (maxmemory-policy volatile-ttl, maxmemory 9 bytes)',
  ],
  [
    [info('noeviction', 9), info('allkeys-lfu', 9), info('volatile-lru', 9)],
    'anything',
    'Redis may evict keys, quotas and queued events (maxmemory-policy allkeys-lfu, maxmemory 9 bytes). ' +
      'Set maxmemory-policy noeviction, or redis.allow_eviction: true if that loss is acceptable',
  ],
  [[''], 'nothing', 'ok; the server does not tell its maxmemory-policy'],
] as const)('of %j it is known to evict %s', (infos, reach, found) => {
  const eviction = evictionOf(infos);
  expect(eviction.reach).toBe(reach);
  expect(evictionFound(eviction, false)).toBe(found);
  expect(evictionRefusal(eviction, false)).toBe(reach === 'anything' ? found : undefined);
  expect(evictionRefusal(eviction, true)).toBeUndefined();
});

function watch(target: RedisTarget) {
  const redis = connectRedis({ ...target, connectionName: 'spec', commandTimeoutMs: 1000 });
  const told: string[] = [];
  const watched = watchEviction({
    redis,
    allowed: false,
    log: (level, message) => void told.push(`${level} ${message}`),
  });
  onTestFinished(async () => {
    watched.close();
    await closeRedis(redis);
  });
  return { ...{ refusal: () => watched.refusal(), found: () => watched.found() }, told, redis };
}

const looked = { timeout: 15_000 };

test('the policy is known from the first connection on, seen again when it changes, and told once', async () => {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const { refusal, found, told, redis } = watch({ url: server.url });
  expect(refusal()).toBe('whether Redis evicts is not known yet');
  await expect.poll(refusal).toBeUndefined();
  expect(found()).toBe('ok');
  await redis.config('SET', 'maxmemory', '100mb');
  await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
  await expect.poll(refusal, looked).toMatch(/maxmemory-policy allkeys-lru, maxmemory 104857600 bytes/);
  // Whoever connects anew may have met another server.
  await redis.config('SET', 'maxmemory-policy', 'noeviction');
  redis.disconnect(true);
  await expect.poll(found).toBe('ok');
  expect(told).toEqual([
    expect.stringMatching(/^warn Redis may evict keys, quotas and queued events/),
    'info Redis evicts nothing any more',
  ]);
});

test('a refused login is why nothing is known, and what each command says', async () => {
  const server = await startRedis({ settings: { requirepass: 'right' } });
  onTestFinished(() => server.stop());
  const { refusal, found, redis } = watch({ url: server.url, password: () => 'wrong' });
  await expect.poll(refusal, looked).toMatch(/^no connection to Redis: WRONGPASS /);
  await expect.poll(found).toMatch(/^not known: no connection to Redis: WRONGPASS /);
  await expect
    .poll(() => redis.get('a').catch((cause: Error) => cause.message))
    .toMatch(/^no connection to Redis: WRONGPASS /);
});

test('of a cluster one master that evicts is enough', async () => {
  const cluster = await startRedisCluster();
  onTestFinished(() => cluster.stop());
  const [, , last] = cluster.masters;
  const master = connectRedis({
    url: `redis://127.0.0.1:${last?.port}`,
    connectionName: 'spec',
    whenDown: 'queue',
  });
  onTestFinished(() => closeRedis(master));
  await master.config('SET', 'maxmemory', '1gb', 'maxmemory-policy', 'allkeys-random');
  const { refusal } = watch({ url: cluster.url, cluster: true });
  await expect.poll(refusal, looked).toMatch(/allkeys-random/);
});

test('a user who may not ask for INFO hears that nothing is known, and is served', async () => {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const admin = connectRedis({ url: server.url, connectionName: 'spec', whenDown: 'queue' });
  onTestFinished(() => closeRedis(admin));
  await admin.call('ACL', 'SETUSER', 'default', '-info');
  const { refusal, found } = watch({ url: server.url });
  await expect.poll(refusal, looked).toBeUndefined();
  expect(found()).toBe('ok; the server does not tell its maxmemory-policy');
});

test.each([
  { kind: 'one server', cluster: false },
  { kind: 'a cluster', cluster: true },
])('BullMQ knows the version, and says nothing of its own about eviction ($kind)', async ({ cluster }) => {
  const warn = vi.spyOn(console, 'warn');
  onTestFinished(() => warn.mockRestore());
  const server = cluster ? undefined : await startRedis();
  if (server) onTestFinished(() => server.stop());
  const target: RedisTarget = server ? { url: server.url } : await redisClusterForTests();
  const redis = connectForQueues({ ...target, connectionName: 'spec' });
  onTestFinished(() => closeRedis(redis));
  const servers = 'nodes' in redis ? redis.nodes('master') : [redis];
  for (const each of servers) await each.config('SET', 'maxmemory-policy', 'allkeys-lru');
  const queue = new Queue('spec', { connection: redis, prefix: bullPrefix });
  const worker = new Worker('spec', () => Promise.resolve(), { connection: redis, prefix: bullPrefix });
  onTestFinished(async () => {
    await worker.close();
    await queue.close();
    for (const each of servers) await each.config('SET', 'maxmemory-policy', 'noeviction');
  });
  await worker.waitUntilReady();
  await queue.waitUntilReady();
  expect(queue.backend.redisVersion).not.toBe('5.0.0');
  expect(warn).not.toHaveBeenCalled();
});
