import { onFreePort, startRedis, startRedisCluster } from '@llmproxy/real-services';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import dns from 'node:dns';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { bullPrefix, closeRedis, connectForQueues, connectRedis, followChannel } from './index.ts';
import type { RedisClient, RedisConnection } from './index.ts';

const patient = { timeout: 20_000, interval: 20 };
const tlsFile = (name: string) =>
  fileURLToPath(new URL(`../../../test/fixtures/tls/${name}`, import.meta.url));
const pem = (name: string) => readFileSync(tlsFile(name), 'utf8');
const ours = { ca: pem('ca.crt'), cert: pem('client.crt'), key: pem('client.key') };

/** TLS on this port and nothing else; whoever has no certificate of our authority is not let in. */
const tlsOn = (port: number) => ({
  port: '0',
  'tls-port': String(port),
  'tls-cert-file': tlsFile('server.crt'),
  'tls-key-file': tlsFile('server.key'),
  'tls-ca-cert-file': tlsFile('ca.crt'),
  'tls-auth-clients': 'yes',
});

let tcp: { port: number; admin: Redis };
let tls: { url: string };
const stops: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  const plain = await onFreePort((port) =>
    startRedis({ settings: { port: String(port), bind: '127.0.0.1' } }),
  );
  const encrypted = await onFreePort((port) => startRedis({ settings: tlsOn(port) }));
  const admin = adminOf(plain.server.url);
  tcp = { port: plain.port, admin };
  tls = { url: `rediss://127.0.0.1:${encrypted.port}` };
  stops.push(
    () => plain.server.stop(),
    () => encrypted.server.stop(),
    () => Promise.resolve(admin.disconnect()),
  );
});

afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});

const adminOf = (url: string) => new Redis(new URL(url).pathname);

function connect(connection: Omit<RedisConnection, 'connectionName'>) {
  const redis = connectRedis({ connectionName: 'spec', ...connection });
  onTestFinished(() => closeRedis(redis));
  return redis;
}

const ready = (redis: RedisClient) => vi.waitUntil(() => redis.status === 'ready', patient);
const linesOf = (log: ReturnType<typeof vi.fn>) => log.mock.calls.map(([, message]) => String(message));

test('a server with a certificate of our authority lets us in by ours', async () => {
  const redis = connect({ ...tls, tls: () => ours, whenDown: 'queue' });
  expect(await redis.ping()).toBe('PONG');
  expect(await redis.duplicate().ping()).toBe('PONG');
});

test.each([
  ['without a certificate of ours', { ca: ours.ca }, /certificate required|ECONNRESET|socket hang up|closed/],
  ['of another authority', { ...ours, ca: pem('backend.crt') }, /unable to verify|self-signed|local issuer/],
  ['under another name', { ...ours, servername: 'other.test' }, /does not match certificate's altnames/],
])('%s there is no connection, and the reason is told', async (_, texts, reason) => {
  const log = vi.fn();
  const redis = connect({ ...tls, tls: () => texts, log });
  await vi.waitUntil(() => linesOf(log).some((line) => reason.test(line)), patient);
  await expect(redis.ping()).rejects.toThrow();
});

test('the name that a certificate must carry may be another than the host', async () => {
  const texts = { ...ours, servername: 'store.test' };
  expect(await connect({ ...tls, tls: () => texts, whenDown: 'queue' }).ping()).toBe('PONG');
});

test('certificates that are replaced are used from the next attempt on', async () => {
  let texts = { ...ours, ca: pem('backend.crt') };
  const log = vi.fn();
  const redis = connect({ ...tls, tls: () => texts, log, whenDown: 'queue' });
  await vi.waitUntil(() => log.mock.calls.length > 0, patient);
  texts = ours;
  expect(await redis.ping()).toBe('PONG');
});

/** A user of the ACL whose password can be changed and whose connections can be cut. */
function userOn(admin: () => readonly Redis[], name: string) {
  const each = (ask: (redis: Redis) => Promise<unknown>) => Promise.all(admin().map(ask));
  let password = 'first-secret';
  const set = (secret: string) =>
    each((redis) => redis.call('ACL', 'SETUSER', name, 'on', 'resetpass', `>${secret}`, '~*', '&*', '+@all'));
  return {
    login: { username: name, password: () => password },
    create: () => set(password),
    /** The server has it already while we do not know it yet. */
    async change(next: string, meanwhile: () => Promise<unknown> = () => Promise.resolve()) {
      await set(next);
      await meanwhile();
      password = next;
    },
    cut: () => each((redis) => redis.call('CLIENT', 'KILL', 'USER', name)),
    cutSubscriptions: () => each((redis) => redis.call('CLIENT', 'KILL', 'USER', name, 'TYPE', 'pubsub')),
    connections: async () => {
      const lists = await each((redis) => redis.call('CLIENT', 'LIST'));
      return lists.join('').split(` user=${name} `).length - 1;
    },
  };
}

/** A queue being worked on, a subscription and a plain connection, all of them of one login. */
async function allKinds(target: Pick<RedisConnection, 'url' | 'cluster' | 'username' | 'password' | 'tls'>) {
  const connection = connectForQueues({ ...target, connectionName: 'spec' });
  onTestFinished(() => closeRedis(connection));
  const queue = new Queue('greetings', { connection, prefix: bullPrefix });
  const seen: string[] = [];
  const work = (job: { name: string }) => Promise.resolve(void seen.push(job.name));
  const worker = new Worker('greetings', work, { connection, prefix: bullPrefix, runRetryDelay: 100 });
  queue.on('error', () => undefined);
  worker.on('error', () => undefined);
  onTestFinished(() => queue.close());
  onTestFinished(() => worker.close(true));
  const plain = connect(target);
  const heard: string[] = [];
  const follower = followChannel(connect(target), 'news', (message) => heard.push(message));
  onTestFinished(() => follower.close());
  await ready(plain);
  return {
    /** Resolves when logins were refused for a while. */
    isOut: async () => {
      for (let attempt = 0; attempt < 3; attempt += 1) {
        await new Promise((resolve) => connection.once('reconnecting', resolve));
      }
    },
    async allWork(word: string) {
      await vi.waitUntil(() => queue.add(word, {}).then(Boolean, () => false), patient);
      await vi.waitUntil(() => seen.includes(word), patient);
      await vi.waitUntil(async () => {
        await plain.publish('news', word).catch(() => undefined);
        return heard.includes(word);
      }, patient);
    },
  };
}

test('after a change of the password every kind of connection comes back with the new one', async () => {
  const user = userOn(() => [tcp.admin], 'rotating');
  await user.create();
  const kinds = await allKinds({ url: `redis://127.0.0.1:${tcp.port}`, ...user.login });
  await kinds.allWork('before');
  expect(await user.connections()).toBe(4); // the blocking one of BullMQ is the fourth
  await user.change('second-secret', async () => {
    await user.cut();
    await kinds.isOut();
  });
  await kinds.allWork('after');
  await user.change('third-secret');
  await user.cutSubscriptions();
  await kinds.allWork('after the third');
  expect(await user.connections()).toBe(4);
});

test('the same holds on a Redis Cluster, over TLS', async () => {
  const settings = (port: number) => ({
    ...tlsOn(port),
    'tls-cluster': 'yes',
    'tls-client-cert-file': tlsFile('client.crt'),
    'tls-client-key-file': tlsFile('client.key'),
  });
  const cluster = await startRedisCluster({ settings });
  onTestFinished(() => cluster.stop());
  const admins = cluster.masters.map(({ socket }) => new Redis(socket));
  onTestFinished(() => admins.forEach((admin) => admin.disconnect()));
  const user = userOn(() => admins, 'rotating');
  await user.create();
  const url = cluster.url.replaceAll('redis:', 'rediss:');
  const kinds = await allKinds({ url, cluster: true, tls: () => ours, ...user.login });
  await kinds.allWork('before');
  await user.change('second-secret', async () => {
    await user.cut();
    await kinds.isOut();
  });
  await kinds.allWork('after');
  await user.change('third-secret');
  await user.cutSubscriptions();
  await kinds.allWork('after the third');
});

test('a password that cannot be read any more is told once, and the one before goes on to serve', async () => {
  const user = userOn(() => [tcp.admin], 'forgetful');
  await user.create();
  let isGone = false;
  const password = () => {
    if (isGone) throw new Error('/run/secrets/redis: the file of the password does not exist');
    return user.login.password();
  };
  const log = vi.fn();
  const url = `redis://127.0.0.1:${tcp.port}`;
  const redis = connect({ url, ...user.login, password, log, whenDown: 'queue' });
  await ready(redis);
  isGone = true;
  for (const _ of [1, 2]) {
    const [came, went] = [
      new Promise((r) => redis.once('ready', r)),
      new Promise((r) => redis.once('close', r)),
    ];
    await user.cut();
    await went;
    await came;
  }
  const problems = linesOf(log).filter((line) => line.includes('/run/secrets/redis'));
  expect(problems).toEqual([
    'connecting to Redis: /run/secrets/redis: the file of the password does not exist; what was read last stays in use',
  ]);
});

test('what cannot be read from the start is refused', () => {
  const password = () => {
    throw new Error('/run/secrets/redis: the file of the password does not exist');
  };
  const attempt = () => connectRedis({ url: 'redis://127.0.0.1:1', password, connectionName: 'spec' });
  expect(attempt).toThrow('/run/secrets/redis');
});

test('what waited for a login that is refused does not hear the password', async () => {
  await userOn(() => [tcp.admin], 'refused').create();
  const redis = connect({ url: `redis://refused:wrong-secret@127.0.0.1:${tcp.port}`, whenDown: 'queue' });
  const error: unknown = await redis.get('a').catch((cause: unknown) => cause);
  expect(error).toMatchObject({ message: expect.stringContaining('WRONGPASS') as string });
  expect(JSON.stringify(Object.entries(error as object))).not.toContain('wrong-secret');
});

test('a name is looked up again for each connection', async () => {
  const user = userOn(() => [tcp.admin], 'named');
  await user.create();
  const lookup = dns.lookup;
  const asked = vi
    .spyOn(dns, 'lookup')
    .mockImplementation(
      ((name: string, ...rest: unknown[]) =>
        Reflect.apply(lookup, dns, [name === 'redis.test' ? '127.0.0.1' : name, ...rest]) as void) as never,
    );
  onTestFinished(() => void asked.mockRestore());
  const times = () => asked.mock.calls.filter(([name]) => (name as string) === 'redis.test').length;
  const redis = connect({ url: `redis://redis.test:${tcp.port}`, ...user.login, whenDown: 'queue' });
  await ready(redis);
  const before = times();
  await user.cut();
  await vi.waitUntil(() => redis.status !== 'ready', patient);
  await ready(redis);
  expect(times()).toBeGreaterThan(before);
});
