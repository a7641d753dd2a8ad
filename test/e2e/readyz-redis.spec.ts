/** What Redis refuses each of its users is said in `/readyz?verbose`, with since when and why, and is over when it is. */
import { spawnRedisServer } from '@llmproxy/embedded-redis';
import { startFakeBackend } from '@llmproxy/fake-backend';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startGateway, type Gateway } from './harness/gateway.ts';
import { fetchText } from './harness/http-client.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';

const shared = new AsyncDisposableStack();
let admin: ReturnType<typeof connectRedis>;
/** One with a management listener, and one whose probes face the clients. */
let gateways: readonly Gateway[];
let probed: readonly string[];

beforeAll(async () => {
  const { path: folder } = shared.use(tempFolder());
  const socket = join(folder, 'redis.sock');
  const settings = { dir: folder, save: '', 'maxmemory-policy': 'noeviction' };
  const server = await spawnRedisServer({ socket, settings, stopSignal: 'SIGKILL' });
  shared.defer(() => server.stop());
  admin = connectRedis({ url: `unix://${socket}`, connectionName: 'tests', whenDown: 'queue' });
  shared.defer(() => closeRedis(admin));
  const backend = shared.use(await startFakeBackend());
  const start = (config: Record<string, Record<string, unknown>>) =>
    startGateway({
      folder: shared.use(tempFolder()).path,
      redisUrl: `unix://${socket}`,
      backends: [{ name: 'fake', url: backend.url }],
      config: {
        rate_limit: { per_key: { requests_per_minute: 100_000 } },
        health_check: { interval: '1s' },
        ...config,
      },
    });
  gateways = await Promise.all([start({}), start({ management: { listen: undefined } })]);
  for (const gateway of gateways) shared.use(gateway);
  probed = gateways.map(({ management, address }) => management ?? address);
});
afterAll(() => shared.disposeAsync());

const acl = (...rules: string[]) => admin.call('ACL', 'SETUSER', 'default', ...rules);

/** A request through each gateway, so that each user of Redis has something to ask of it. */
const serveSome = async (): Promise<void> => {
  const body = { model: 'm', messages: [] };
  await Promise.all(gateways.map(({ address }) => fetchText(address, '/v1/chat/completions', { body })));
};

/** Waits until a check of every gateway reads like this; all the while they are ready. */
async function untilAll(check: string, found: RegExp): Promise<void> {
  for (const address of probed) {
    let text = '';
    const matches = async (): Promise<boolean> => {
      await serveSome();
      const answer = await fetchText(address, '/readyz?verbose', { headers: {} });
      text = answer.text;
      expect(answer.status).toBe(200);
      const line = text.split('\n').find((one) => one.slice(3).startsWith(`${check} `)) ?? '';
      return found.test(line);
    };
    await until(`${check} reads like ${found}`, matches).catch((cause: Error) => {
      throw new Error(`${cause.message}; last:\n${text}`, { cause });
    });
  }
}

/** `[-]` and since when and why; with two workers perhaps only one of them yet. */
const failing = (why: string) =>
  new RegExp(`^\\[-\\]\\w+ (1 of 2 workers: )?failing since \\d{4}-\\S+Z: .*${why}`);
const mended = (why: string) => new RegExp(`^\\[\\+\\]\\w+ ok; failed last at \\d{4}-\\S+Z: .*${why}`);

test('with everything granted all users of Redis are well', async () => {
  for (const check of ['redis', 'limits', 'queue', 'keys', 'news', 'health'])
    await untilAll(check, /^\[\+\]\w+ ok/);
});

test.each([
  { right: 'to run scripts', taken: ['-evalsha', '-eval'], given: '+@all', check: 'queue' },
  { right: 'to subscribe', taken: ['resetchannels'], given: 'allchannels', check: 'news' },
  { right: 'to read the health of backends', taken: ['-hgetall'], given: '+@all', check: 'health' },
])('the user of Redis has no right $right', async ({ taken, given, check }) => {
  await acl(...taken);
  await untilAll(check, failing('NOPERM'));
  await acl(given);
  await untilAll(check, mended('NOPERM'));
});

test('the user of Redis has no right to run the script of limits', async () => {
  await acl('-evalsha', '-eval');
  await untilAll('limits', failing('NOPERM'));
  await acl('+@all'); // it is well again when none has failed for 15 s
});

test('a Redis that is full', async () => {
  await admin.call('CONFIG', 'SET', 'maxmemory', '1');
  await untilAll('queue', failing('OOM'));
  await admin.call('CONFIG', 'SET', 'maxmemory', '0');
  await untilAll('queue', mended('OOM'));
});
