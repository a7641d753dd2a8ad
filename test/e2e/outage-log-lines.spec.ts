/** An outage is told when it begins and when it ends, and not once for each request that meets it. */
import { spawnRedisServer } from '@llmproxy/embedded-redis';
import { startFakeBackend } from '@llmproxy/fake-backend';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { bearer, chat, chatPath } from './harness/authenticated.ts';
import type { Child } from './harness/child.ts';
import { startGateway, startKeyLookup, startWorker, testKey, type Gateway } from './harness/gateway.ts';
import { fetchText } from './harness/http-client.ts';
import { metricSum } from './harness/metrics.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';

/** Sent twice in each outage. */
const requests = 100;
/** Of one worker process: connection, limits, events, keys, news, health, and a second cause for some of them. */
const linesMax = 10;

vi.setConfig({ testTimeout: 90_000 });

/** Sources of keys that are away. */
const webhook = {
  name: 'shop',
  type: 'webhook',
  webhook: { url: 'http://127.0.0.1:9/keys' },
  timeout: '500ms',
};
const table = {
  name: 'crm',
  type: 'database',
  database: { storage: 'crm', table: 'keys', key_column: 'key' },
};

/** A gateway of one worker with everything on that asks a store, its Redis, and the processes beside it. */
async function started() {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(tempFolder()).path;
  const socket = join(folder, 'redis.sock');
  const startRedis = async () => {
    const settings = { dir: folder, save: '' };
    const server = await spawnRedisServer({ socket, settings, stopSignal: 'SIGKILL' });
    stack.defer(() => server.stop());
    return server;
  };
  const redis = await startRedis();
  const backend = stack.use(await startFakeBackend());
  const known = { name: 'known', type: 'static', static: { keys: [{ key: testKey }] } };
  const databases = [
    { name: 'main', driver: 'sqlite', path: join(folder, 'usage.db') },
    { name: 'crm', driver: 'sqlite', path: join(folder, 'not-there.db') },
  ];
  const gateway = stack.use(
    await startGateway({
      folder,
      redisUrl: `unix://${socket}`,
      backends: [{ name: 'fake', url: backend.url }],
      config: {
        server: { workers: 1 },
        auth: {
          failure_limit: { enabled: false },
          pipeline: [known, { name: 'own', type: 'builtin' }, webhook, table],
        },
        rate_limit: { per_key: { requests_per_minute: 100_000 } },
        health_check: { interval: '1s' },
        usage: {
          reporters: [{ name: 'billing', type: 'webhook', webhook: { url: 'http://127.0.0.1:9/usage' } }],
        },
        storage: { databases },
      },
    }),
  );
  return { gateway, redis, startRedis, folder, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Half of them with a key that every source has to be asked for. */
async function sendMany({ address }: Gateway): Promise<void> {
  for (let sent = 0; sent < requests; sent += 20) {
    const keys = Array.from({ length: 20 }, (_, i) => (i % 2 ? testKey : `sk-e2e-unknown-${sent + i}`));
    await Promise.all(keys.map((key) => fetchText(address, chatPath, { body: chat, headers: bearer(key) })));
  }
}

const troubles = ({ output }: Child): string[] =>
  output.stdout.split('\n').filter((line) => /"level":"(warn|error)"/.test(line));

const found = async ({ management }: Gateway, check: string): Promise<string> => {
  const { text } = await fetchText(management, '/readyz?verbose', { headers: {} });
  return text.split('\n').find((line) => line.slice(3).startsWith(`${check} `)) ?? text;
};

test('sources of keys that are away', async () => {
  await using under = await started();
  const { gateway } = under;
  await using lookup = await startKeyLookup(under.folder);
  await sendMany(gateway);
  await until('it is told', () => troubles(gateway).some((line) => line.includes('shop')));
  expect(await found(gateway, 'keys')).toMatch(/^\[-\]keys .*shop failing since .*crm failing since /);
  await sendMany(gateway);
  // One line for each source, in the gateway and in the process beside it.
  expect(troubles(gateway).length).toBeLessThanOrEqual(4);
  expect(troubles(lookup).length).toBeLessThanOrEqual(2);
});

test.each([
  ['is killed', (pid: number) => process.kill(pid, 'SIGKILL')],
  ['does not answer', (pid: number) => process.kill(pid, 'SIGSTOP')],
])('a Redis that %s', async (_, harm) => {
  await using under = await started();
  const { gateway, redis } = under;
  await sendMany(gateway);
  const before = troubles(gateway).length;
  harm(redis.pid);
  await sendMany(gateway);
  await until('limits are counted without it', async () => /^\[-\]/.test(await found(gateway, 'limits')));
  await until('events are spooled', async () => /^\[-\]/.test(await found(gateway, 'queue')));
  await sendMany(gateway);
  expect(troubles(gateway).slice(before).length).toBeLessThanOrEqual(linesMax);
});

test('a receiver of usage events that is away', async () => {
  await using under = await started();
  const { gateway } = under;
  await using worker = await startWorker(under.folder);
  await sendMany(gateway);
  await sendMany(gateway);
  await until(
    'all events are with the worker',
    async () => (await metricSum(gateway.management, 'llmproxy_usage_events_pending')) === 0,
  );
  await until('it is told', () => troubles(worker).some((line) => line.includes('billing')));
  expect(troubles(worker).length).toBeLessThanOrEqual(4);
});
