/** Redis goes away and comes back while a gateway with limits serves. */
import { spawnRedisServer } from '@llmproxy/embedded-redis';
import { startFakeBackend } from '@llmproxy/fake-backend';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startFleet, storm } from './harness/fleet.ts';
import { fetchText } from './harness/http-client.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';

const body = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };

/** A gateway of four workers that limits requests per minute, and its Redis, which can be stopped. */
async function startOn(policy: 'local' | 'allow' | 'deny', requestsPerMinute = 40) {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(tempFolder());
  const socket = join(folder.path, 'redis.sock');
  const settings = { dir: folder.path, save: '' };
  const startRedis = async () => {
    const server = await spawnRedisServer({ socket, settings, stopSignal: 'SIGKILL' });
    stack.defer(() => server.stop());
    return server;
  };
  const redis = await startRedis();
  const backend = stack.use(await startFakeBackend());
  const fleet = stack.use(
    await startFleet(1, {
      folder: folder.path,
      redisUrl: `unix://${socket}`,
      backends: [{ name: 'fake', url: backend.url }],
      config: {
        server: { workers: 4 },
        rate_limit: {
          enabled: true,
          on_redis_failure: policy,
          per_key: { requests_per_minute: requestsPerMinute },
        },
      },
    }),
  );
  const management = fleet.gateways[0]?.management ?? '';
  const statuses = async (count: number) =>
    (await storm(fleet, count, { body }).all).map(({ status }) => status);
  const readiness = async () => (await fetchText(management, '/readyz', { headers: {} })).status;
  return { fleet, redis, startRedis, statuses, readiness, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const count = (statuses: readonly number[], of: number) => statuses.filter((status) => status === of).length;

test('local: without Redis the workers share the limit among themselves, and count together when it is back', async () => {
  await using gateway = await startOn('local');
  expect(count(await gateway.statuses(4), 200)).toBe(4);
  await gateway.redis.stop();
  const alone = await gateway.statuses(120);
  expect(count(alone, 200)).toBeGreaterThan(0);
  expect(count(alone, 200)).toBeLessThanOrEqual(40);
  expect(count(alone, 200) + count(alone, 429)).toBe(120);
  expect(await gateway.readiness()).toBe(200);

  await gateway.startRedis(); // empty: nothing is counted yet
  await until('a worker counts in Redis', async () => {
    const { headers } = await fetchText(gateway.fleet.next(), '/v1/chat/completions', { body });
    return headers['x-ratelimit-limit-requests'] === '40';
  });
  expect(await gateway.readiness()).toBe(200);
});

test('allow: without Redis everything passes, and is limited again when it is back', async () => {
  await using gateway = await startOn('allow');
  await gateway.redis.stop();
  expect(count(await gateway.statuses(120), 200)).toBe(120);
  expect(await gateway.readiness()).toBe(200);
  await gateway.startRedis();
  await until('the limit holds', async () => count(await gateway.statuses(60), 429) >= 20);
});

test('deny: without Redis nothing passes, and everything does when it is back', async () => {
  await using gateway = await startOn('deny', 10_000);
  await gateway.redis.stop();
  const refused = await storm(gateway.fleet, 20, { body }).all;
  expect(
    count(
      refused.map(({ status }) => status),
      503,
    ),
  ).toBe(20);
  expect(JSON.parse(refused[0]?.text ?? '')).toMatchObject({ error: { code: 'limits_unavailable' } });
  expect(Number(refused[0]?.headers['retry-after'])).toBeGreaterThan(0);
  expect(await gateway.readiness()).toBe(200);
  await gateway.startRedis();
  await until('all four workers ask Redis', async () => count(await gateway.statuses(8), 200) === 8);
});
