/**
 * Each process as the user of Redis that docs/operations.md makes for it, over TLS: everything works, nothing is refused, and the
 * page lists the commands that the process runs, or might run with a script, and no others.
 */
import { openai, play, startFakeBackend, type FakeBackend } from '@llmproxy/fake-backend';
import { hashOfKey, keyIdOfHash } from '@llmproxy/key-store';
import { limitKeys } from '@llmproxy/limit-state';
import { onFreePort, startRedis, startRedisCluster } from '@llmproxy/real-services';
import { Redis } from 'ioredis';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { bearer, chat, chatPath, outcomeOf } from './harness/authenticated.ts';
import { repoRoot, startApp, type Child } from './harness/child.ts';
import { databaseIn, startGateway, startWorker, writeConfig, type Setup } from './harness/gateway.ts';
import { fetchText } from './harness/http-client.ts';
import {
  beginToWatch,
  commandsOfBull,
  commandsOfOurs,
  documentedRights,
  watched,
} from './harness/redis-rights.ts';
import { llmproxy } from './harness/refused-config.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';
import { usageRows } from './harness/usage-events.ts';

vi.setConfig({ testTimeout: 90_000 });

const limitScripts = ['windows', 'scopes', 'leases', 'checks', 'charge', 'settle', 'admit', 'run'].map(
  (name) => `libs/shared/limit-state/script/${name}.lua`,
);
/** What a worker of BullMQ runs when something is slow or goes wrong, which these runs do not wait for. */
const bullWhenSlow = [
  'extendLocks',
  'moveStalledJobsToWait',
  'moveJobFromActiveToWait',
  'moveToDelayed',
  'retryJob',
];

/** What a process might run beyond what it does here. */
const further: Record<string, { ours?: string[]; bull?: string[]; commands?: string[] }> = {
  gateway: {
    ours: [
      ...limitScripts,
      'libs/data-plane/limits/alive.lua',
      'libs/data-plane/auth/scripts/count-failure.lua',
    ],
  },
  scheduler: {
    ours: [
      ...limitScripts,
      'libs/control-plane/quota-reset/forget-tags.lua',
      'libs/shared/key-store/changes.ts',
      'libs/shared/key-store/key-store.ts',
    ],
    bull: bullWhenSlow,
  },
  // Of a group of several events those are buried that failed; whether events come in groups here, their timing decides.
  worker: { bull: bullWhenSlow, commands: ['exec', 'multi'] },
};

const processes = ['gateway', 'worker', 'scheduler', 'keys', 'dead-letters', 'shop'];
const tlsFile = (name: string) => `${repoRoot}test/fixtures/tls/${name}`;
/** Nobody gets in without a certificate of our authority. */
const tlsOn = (port: number) => ({
  'tls-port': String(port),
  'tls-cert-file': tlsFile('server.crt'),
  'tls-key-file': tlsFile('server.key'),
  'tls-ca-cert-file': tlsFile('ca.crt'),
  'tls-auth-clients': 'yes',
});
const tls = {
  ca_file: tlsFile('ca.crt'),
  cert_file: tlsFile('client.crt'),
  key_file: tlsFile('client.key'),
};

const rights = documentedRights();
const resources = new AsyncDisposableStack();
afterAll(() => resources.disposeAsync());

let admin: Redis;
let redisUrl: string;
let folder: string;
let backend: FakeBackend;
let receiver: FakeBackend;
let key: string;
const shopKey = 'sk-e2e-of-the-shop-0123456789';
const requestsServed = 7;

beforeAll(async () => {
  const { server, port } = await onFreePort((free) => startRedis({ settings: tlsOn(free) }));
  resources.defer(() => server.stop());
  redisUrl = `rediss://127.0.0.1:${port}`;
  admin = new Redis(new URL(server.url).pathname);
  resources.defer(() => admin.disconnect());
  folder = resources.use(tempFolder()).path;
  backend = resources.use(await startFakeBackend());
  receiver = resources.use(await startFakeBackend());
  for (const path of ['', '/sick']) backend.on(`${path}/v1/chat/completions`, openai.chat());
  backend.on('/sick/health', play.bytes('', 'text/plain', { status: 500 }));
  receiver.on('/later', play.bytes('', 'text/plain', { status: 503 }));
  receiver.on('/never', play.bytes('', 'text/plain', { status: 400 }));
  expect([...rights.keys()]).toEqual(processes.map((process) => `llmproxy-${process}`));
  await createUsers(admin);
  await admin.hset(`llmproxy:key:${shopKey}`, { user_id: 'shopper' });
});

/** As the page says; where Redis can, the gateway may only read keys. */
async function createUsers(on: Redis, ...further: string[]): Promise<void> {
  const canReadOnly = Number(/redis_version:(\d+)/.exec(await on.info('server'))?.[1]) >= 7;
  for (const { user, rules } of rights.values()) {
    const own = rules('secret').map((rule) =>
      canReadOnly && user === 'llmproxy-gateway' && rule === '~lp:keys:*' ? '%R~lp:keys:*' : rule,
    );
    await on.call('ACL', 'SETUSER', user, ...own, ...further);
  }
}

type Place = { url: string } & ({ tls: object; cluster?: false } | { cluster: true });

/** A config whose processes are this user, with a password that can be changed in its file. */
function setupAs(process: string, place: Place = { url: redisUrl, tls }): Setup {
  const own = join(folder, place.cluster ? `${process}-on-cluster` : process);
  mkdirSync(own);
  writeFileSync(join(own, 'password'), 'secret\n');
  const webhook = (path: string, retry: number) => ({ url: `${receiver.url}${path}`, retry });
  const as = (user: string) => ({ ...place, username: `llmproxy-${user}`, password_file: 'password' });
  return {
    folder: own,
    redisUrl: place.url,
    backends: [
      { name: 'well', url: backend.url },
      { name: 'sick', url: `${backend.url}/sick` },
    ],
    config: {
      server: { workers: 1 },
      redis: as(process),
      health_check: { interval: '100ms', jitter: 0, path: '/health', unhealthy_threshold: 1 },
      auth: {
        failure_limit: { max_failures: 3 },
        pipeline: [
          { name: 'issued', type: 'builtin' },
          { name: 'shop', type: 'redis', redis: { storage: 'shop' } },
        ],
      },
      rate_limit: { enabled: true, global: { requests_per_second: 500, max_concurrent: 100 } },
      storage: {
        databases: [{ name: 'main', driver: 'sqlite', path: databaseIn(folder) }],
        caches: [{ name: 'shop', driver: 'redis', ...as('shop') }],
      },
      usage: {
        reporters: [
          { name: 'sql', type: 'database', database: { storage: 'main' } },
          { name: 'later', type: 'webhook', webhook: webhook('/later', 8) },
          { name: 'never', type: 'webhook', webhook: webhook('/never', 0) },
        ],
      },
    },
  };
}

/** Asked for once by each process, and not needed. */
const isDoneWithout = / config(\|get)? \(command\)$/;

/** Runs a process, and compares what it did in Redis with the page. */
async function comparedWithPage(process: string, run: (setup: Setup) => Promise<void>): Promise<void> {
  const setup = setupAs(process);
  writeConfig(setup);
  await beginToWatch(admin);
  await run(setup);
  const { used, refused, bullScripts } = await watched(admin);
  expect(refused.filter((what) => !isDoneWithout.test(what))).toEqual([]);
  const { ours = [], bull = [], commands = [] } = further[process] ?? {};
  const might = [
    ...commands,
    ...(await commandsOfOurs(admin, ours)),
    ...(await commandsOfBull(admin, new Set([...bullScripts, ...bull]))),
  ];
  const listed = rights.get(`llmproxy-${process}`)?.commands ?? [];
  expect(listed).toEqual([...new Set([...used, ...might])].toSorted());
}

async function stop(child: Child): Promise<void> {
  child.kill('SIGTERM');
  expect(await child.exited).toEqual({ code: 0, signal: null });
}

/** The user gets another password, the file says so, and all connections are cut. */
async function changePassword(process: string): Promise<void> {
  const user = `llmproxy-${process}`;
  await admin.call('ACL', 'SETUSER', user, 'resetpass', '>another-secret');
  writeFileSync(join(folder, process, 'password'), 'another-secret\n');
  await admin.call('CLIENT', 'KILL', 'USER', user);
}

test('llmproxy keys adds, lists, changes and removes keys', () =>
  comparedWithPage('keys', async (setup) => {
    const keys = (...args: string[]) => llmproxy(setup.folder, 'keys', ...args);
    key = await keys('add', '--name', 'kept', '--rpm', '5', '--quota', '1000000', '--quota-period', 'daily');
    await keys('add', '--name', 'dropped');
    await keys('disable', 'kept');
    await keys('enable', 'kept');
    await keys('remove', 'dropped');
    expect(await keys('list')).toContain('kept');
  }));

test('a gateway knows keys, keeps limits, hears of changes and queues events, also after a change of its password', () =>
  comparedWithPage('gateway', async (setup) => {
    await using gateway = await startGateway(setup);
    const isWell = async () => {
      const { status, text } = await fetchText(gateway.management, '/readyz?verbose');
      return status === 200 && !text.includes('[-]');
    };
    const areQueued = async () => {
      const { text } = await fetchText(gateway.management, '/metrics');
      return (
        /^llmproxy_usage_events_pending 0$/m.test(text) && /^llmproxy_queue_depth\{.*\} [1-9]/m.test(text)
      );
    };
    const outcome = (secret: string) => outcomeOf(gateway.address, bearer(secret));
    await until('all is well', isWell);
    await until('the shop is asked', async () => (await outcome(shopKey)) === '200');
    for (let i = 0; i < 5; i++) expect(await outcome(key)).toBe('200');
    expect(await outcome(key)).toBe('429 rate_limit_exceeded');
    await until('all events are in the queue', areQueued);
    await changePassword('gateway');
    await until('its connections are lost', () =>
      gateway.output.stdout.includes('lost the connection to Redis'),
    );
    await until('all is well again', isWell);
    await until('the shop is asked again', async () => (await outcome(shopKey)) === '200');
    for (let i = 0; i < 3; i++)
      expect(await outcome(`sk-e2e-unknown-${i}-0123456789`)).toBe('401 invalid_api_key');
    expect(await outcome(key)).toBe('429 rate_limit_exceeded');
    await until('all events are in the queue', areQueued);
    await stop(gateway);
  }));

test('a scheduler probes, ends what was left over and resets quotas', async () => {
  const tag = `k:${keyIdOfHash(hashOfKey(key))}`;
  await admin.hset(limitKeys.quota(tag), 'end', Date.now() - 1000);
  await admin.zadd(limitKeys.leases(tag), Date.now() - 1000, `${'.'.repeat(32)}:10:${Date.now() - 40_000}:8`);
  await comparedWithPage('scheduler', async (setup) => {
    await using scheduler = startApp('scheduler', ['--config', `${setup.folder}/config.yaml`], setup.folder);
    for (const line of ['backend is unhealthy', 'leases that nobody had renewed were ended', 'quota reset']) {
      await until(line, () => scheduler.output.stdout.includes(line));
    }
    const copy = join(setup.folder, 'data', 'keys', 'records.json');
    await until('it has a copy of the keys', () => existsSync(copy));
    await stop(scheduler);
  });
});

test('a worker delivers, retries and buries, also after a change of its password', () =>
  comparedWithPage('worker', async (setup) => {
    await using worker = await startWorker(setup.folder);
    const sentTo = (path: string) =>
      receiver.requests.filter(({ target }) => target === path).map((one) => one.header('idempotency-key'));
    const served = () => usageRows(databaseIn(folder)).filter(({ status_code }) => status_code === 200);
    await until('all are in the ledger', () => served().length === requestsServed);
    await until('all were sent once', () =>
      ['/later', '/never'].every((path) => isSent(sentTo(path), served())),
    );
    await changePassword('worker');
    receiver.on('/later', play.bytes('', 'text/plain', { status: 204 }));
    const before = sentTo('/later').length;
    await until('all were sent again', () => isSent(sentTo('/later').slice(before), served()));
    await stop(worker);
  }));

const isSent = (ids: readonly (string | undefined)[], rows: readonly { event_id: string }[]) =>
  rows.every(({ event_id }) => ids.includes(event_id));

test('llmproxy dead-letters lists and replays what was buried', () =>
  comparedWithPage('dead-letters', async (setup) => {
    expect(await llmproxy(setup.folder, 'dead-letters', 'list')).toContain('answered 400');
    expect(await llmproxy(setup.folder, 'dead-letters', 'replay')).not.toBe('');
  }));

test('on a cluster the same users need CLUSTER SLOTS and INFO besides', async () => {
  const cluster = await startRedisCluster();
  await using _ = { [Symbol.asyncDispose]: () => cluster.stop() };
  const admins = cluster.masters.map(({ socket }) => new Redis(socket));
  using _admins = { [Symbol.dispose]: () => admins.forEach((one) => one.disconnect()) };
  for (const one of admins) await createUsers(one, '+cluster|slots', '+cluster|info');
  const place = { url: cluster.url, cluster: true } as const;
  const setup = setupAs('gateway', place);
  await using gateway = await startGateway({
    ...setup,
    config: { ...setup.config, auth: { enabled: false } },
  });
  for (const process of ['scheduler', 'worker']) writeConfig(setupAs(process, place));
  const served = usageRows(databaseIn(folder)).length;
  const config = (process: string) => `${folder}/${process}-on-cluster/config.yaml`;
  await using scheduler = startApp('scheduler', ['--config', config('scheduler')], folder);
  await using _worker = startApp('worker', ['--config', config('worker')], folder);
  await until('the scheduler probes', () => scheduler.output.stdout.includes('backend is unhealthy'));
  await until('a request is recorded', async () => {
    await fetchText(gateway.address, chatPath, { body: chat });
    return usageRows(databaseIn(folder)).length > served;
  });
  const refused = await Promise.all(admins.map(async (one) => (await watched(one)).refused));
  const unexpected = refused.flat().filter((what) => !isDoneWithout.test(what));
  expect(unexpected.filter((what) => !/ client(\|setinfo)? \(command\)$/.test(what))).toEqual([]);
});
