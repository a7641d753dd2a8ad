/** On a Redis Cluster the limits of one request lie on several servers: still all of them hold it, or none. */
import { createGate, openai, startFakeBackend, type FakeBackend } from '@llmproxy/fake-backend';
import { hashOfKey, keyIdOfHash } from '@llmproxy/key-store';
import { limitKeys } from '@llmproxy/limit-state';
import { redisClusterForTests } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startFleet, storm, type Fleet } from './harness/fleet.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';

const keys = { perMinute: 'sk-e2e-cluster-per-minute', concurrent: 'sk-e2e-cluster-at-once' };
const resources = new AsyncDisposableStack();
let backend: FakeBackend;
let fleet: Fleet;
let redis: ReturnType<typeof connectRedis>;

beforeAll(async () => {
  const folder = resources.use(tempFolder());
  const place = resources.use(await redisClusterForTests());
  backend = resources.use(await startFakeBackend());
  redis = connectRedis({ ...place, connectionName: 'tests', whenDown: 'queue' });
  resources.defer(() => closeRedis(redis));
  fleet = resources.use(
    await startFleet(2, {
      folder: folder.path,
      redisUrl: place.url,
      backends: [{ name: 'fake', url: backend.url }],
      config: {
        server: { workers: 2 },
        redis: { url: place.url, cluster: true },
        log: { level: 'warn' },
        logging: { enabled: false },
        rate_limit: {
          redis_timeout: '20s',
          on_redis_failure: 'deny',
          global: { max_concurrent: 10_000 },
          per_ip: { max_concurrent: 10_000 },
        },
        auth: {
          pipeline: [
            {
              name: 'keys',
              type: 'static',
              static: {
                keys: [
                  { key: keys.perMinute, limits: { requests_per_minute: 50 } },
                  { key: keys.concurrent, limits: { max_concurrent: 10 } },
                ],
              },
            },
          ],
        },
      },
    }),
  );
});
afterAll(() => resources.disposeAsync());

const askOf = (key: string) => ({
  headers: { authorization: `Bearer ${key}` },
  body: '{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":5}',
});

const tagOf = (key: string) => `k:${keyIdOfHash(hashOfKey(key))}`;
const heldIn = (tag: string) => redis.zcard(limitKeys.leases(tag));
const nothingIsHeld = (key: string) =>
  until('all is settled', async () => {
    const held = await Promise.all(['g', 'ip:127.0.0.1', tagOf(key)].map(heldIn));
    return held.every((count) => count === 0);
  });

test('of 300 concurrent requests exactly 50 per minute pass, and the refused ones hold nothing anywhere', async () => {
  backend.on('/v1/chat/completions', openai.chat());
  const { all, passed, refused } = storm(fleet, 300, askOf(keys.perMinute));
  await all;
  expect([passed(), refused()]).toEqual([50, 250]);
  expect(backend.requests).toHaveLength(50);
  await nothingIsHeld(keys.perMinute);
});

test('of 300 concurrent requests exactly 10 are served at once, and hold a slot in each scope until they end', async () => {
  const gate = createGate();
  backend.on('/v1/chat/completions', openai.chat({ headAfter: gate }));
  const { all, passed, refused } = storm(fleet, 300, askOf(keys.concurrent));
  await until('all others are refused', () => refused() === 290, 60_000);
  await until('the slots of the refused ones are free', async () => (await heldIn('g')) === 10);
  gate.open();
  await all;
  expect([passed(), refused()]).toEqual([10, 290]);
  await nothingIsHeld(keys.concurrent);
});
