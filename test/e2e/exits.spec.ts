/** The end of each process: certain, whatever died or hangs at that moment. */
import { spawnRedisServer } from '@llmproxy/embedded-redis';
import { createGate, openai, startFakeBackend } from '@llmproxy/fake-backend';
import { redisForTests } from '@llmproxy/real-services';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { repoRoot, startApp, startNode, type Child } from './harness/child.ts';
import { startGateway, writeConfig } from './harness/gateway.ts';
import { fetchText, send, type Answer } from './harness/http-client.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';
import { takeEvents } from './harness/usage-events.ts';

const chat = { model: 'm', stream: true, messages: [{ role: 'user', content: 'hi' }] };
const inOrder = { code: 0, signal: null };

const shared = new AsyncDisposableStack();
let redisUrl: string;
beforeAll(async () => {
  redisUrl = shared.use(await redisForTests()).url;
});
afterAll(() => shared.disposeAsync());

/** As /proc says it: R, S, D run or wait, T is stopped, Z has ended and its parent has not heard of it. */
function stateOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).charAt(0);
  } catch {
    return 'gone';
  }
}

const runs = (pid: number): boolean => !['gone', 'Z'].includes(stateOf(pid));

const backends = [{ name: 'nowhere', url: 'http://127.0.0.1:9' }];

/** A gateway, and streams through it that do not end by themselves before their gate opens. */
async function streaming(count: number, server: Readonly<Record<string, unknown>> = {}) {
  const stack = new AsyncDisposableStack();
  const gate = createGate();
  const folder = stack.use(tempFolder());
  const plays = { '/v1/chat/completions': openai.chat({ gates: { 2: gate } }) };
  const backend = stack.use(await startFakeBackend({ plays }));
  const gateway = stack.use(
    await startGateway({
      folder: folder.path,
      redisUrl,
      backends: [{ name: 'fake', url: backend.url }],
      config: { server },
    }),
  );
  const streams = await Promise.all(
    Array.from({ length: count }, () => send(gateway.address, '/v1/chat/completions', { body: chat })),
  );
  await until('the streams have begun', () => streams.every((stream: Answer) => stream.text() !== ''));
  return { gateway, gate, streams, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** A Redis whose process can be stopped: it accepts connections and answers nothing. */
async function freezableRedis(folder: string) {
  const socket = join(folder, 'redis.sock');
  const settings = { dir: folder, save: '' };
  const server = await spawnRedisServer({ socket, settings, stopSignal: 'SIGKILL' });
  return {
    url: `unix://${socket}`,
    freeze: () => process.kill(server.pid, 'SIGSTOP'),
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

test('a gateway ends when its workers die at the moment of its SIGTERM, whatever comes first', async () => {
  await using folder = tempFolder();
  for (let round = 0; round < 6; round++) {
    await using gateway = await startGateway({ folder: folder.path, redisUrl, backends });
    const [first = 0, second = 0] = gateway.workers();
    if (round % 3 === 0) gateway.kill('SIGTERM');
    process.kill(first, 'SIGKILL');
    if (round % 3 === 1) gateway.kill('SIGTERM');
    process.kill(second, 'SIGKILL');
    if (round % 3 === 2) gateway.kill('SIGTERM');
    expect(await gateway.exited).toEqual(inOrder);
  }
});

test('a worker that dies while it is asked for its metrics does not take the gateway with it', async () => {
  await using folder = tempFolder();
  await using gateway = await startGateway({ folder: folder.path, redisUrl, backends });
  const { hostname, port } = new URL(gateway.management);
  const scraper = connect(Number(port), hostname);
  let answered = '';
  scraper.setEncoding('utf8').on('data', (text: string) => (answered += text));
  await once(scraper, 'connect');
  scraper.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n');
  await until('the connection is in use', () => answered.includes('OK'));

  // Asleep, the primary finds the question first when it wakes, and then the loss.
  const [victim = 0] = gateway.workers();
  gateway.kill('SIGSTOP');
  await until('the primary sleeps', () => stateOf(gateway.pid) === 'T');
  scraper.write('GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n');
  process.kill(victim, 'SIGKILL');
  await until('the worker is dead', () => !runs(victim));
  gateway.kill('SIGCONT');
  await until('the metrics are answered', () => answered.includes('llmproxy_requests_total'));
  scraper.destroy();
  await until('another worker listens', async () =>
    (await fetchText(gateway.management, '/readyz?verbose')).text.includes('[+]workers ok'),
  );
  gateway.kill('SIGTERM');
  expect(await gateway.exited).toEqual(inOrder);
});

test('a second SIGTERM ends a gateway at once, however long its drain may take', async () => {
  await using under = await streaming(3, { drain_timeout: '1h' });
  const { gateway, streams } = under;
  const workers = gateway.workers();
  gateway.kill('SIGTERM');
  await until('it drains', async () => (await fetchText(gateway.management, '/readyz')).status === 503);
  let ended = false;
  void gateway.exited.then(() => (ended = true));
  // One within a second of the first is taken for the same wish, come on two ways.
  await until('it has ended', () => {
    if (!ended) gateway.kill('SIGTERM');
    return ended;
  });
  expect(await gateway.exited).toEqual({ code: 143, signal: null });
  expect(workers.filter(runs)).toEqual([]);
  const cut = await Promise.all(streams.map((stream) => stream.ended));
  expect(cut.map(({ isComplete }) => isComplete)).toEqual([false, false, false]);
});

test('two signals at once are one: they reach a process through its group and through its parent', async () => {
  await using under = await streaming(3, { drain_timeout: '1h' });
  const { gateway, gate, streams } = under;
  gateway.kill('SIGTERM');
  gateway.kill('SIGINT');
  await until('it drains', async () => (await fetchText(gateway.management, '/readyz')).status === 503);
  gate.open();
  const ended = await Promise.all(streams.map((stream) => stream.ended));
  expect(ended.map(({ isComplete }) => isComplete)).toEqual([true, true, true]);
  expect(await gateway.exited).toEqual(inOrder);
});

test('workers whose primary was killed finish what is open, record it, and end', async () => {
  await using own = await redisForTests();
  redisUrl = own.url;
  await using under = await streaming(6, { drain_timeout: '1h' });
  const { gateway, gate, streams } = under;
  const workers = gateway.workers();
  gateway.kill('SIGKILL');
  await until('the primary is gone', () => !runs(gateway.pid));
  gate.open();
  const ended = await Promise.all(streams.map((stream) => stream.ended));
  expect(ended.filter(({ isComplete, text }) => isComplete && text.includes('[DONE]'))).toHaveLength(6);
  await until('the workers have ended', () => workers.every((pid) => !runs(pid)));
  expect(await takeEvents(own.url, 6)).toHaveLength(6);
});

test('a Redis that accepts everything and answers nothing keeps no process from ending', async () => {
  await using folder = tempFolder();
  await using redis = await freezableRedis(folder.path);
  const config = writeConfig({
    folder: folder.path,
    redisUrl: redis.url,
    backends,
    config: { rate_limit: { per_key: { requests_per_minute: 100 } }, server: { drain_timeout: '1h' } },
  });
  await using apps = new AsyncDisposableStack();
  const start = async (app: 'gateway' | 'worker' | 'scheduler'): Promise<Child> => {
    const child = apps.use(startApp(app, ['--config', config], folder.path));
    await child.ready;
    return child;
  };
  const children = await Promise.all((['gateway', 'worker', 'scheduler'] as const).map(start));
  redis.freeze();
  for (const child of children) child.kill('SIGTERM');
  const exits = await Promise.all(children.map(({ exited }) => exited));
  expect(exits.map(({ signal }) => signal)).toEqual([null, null, null]);
  expect(exits[0]).toEqual(inOrder);
}, 60_000);

test('`llmproxy start` that waits for a part to become ready can be told to stop', async () => {
  await using folder = tempFolder();
  const config = writeConfig({ folder: folder.path, redisUrl: 'redis://127.0.0.1:9', backends });
  const args = [`${repoRoot}dist/apps/cli/main.js`, 'start', '--config', config];
  await using child = startNode({ args, cwd: folder.path, ipc: false, group: true });
  await until('its parts have been started', () => child.tree().length >= 3);
  const parts = child.tree();
  child.kill('SIGTERM');
  expect(await child.exited).toEqual(inOrder);
  expect(parts.filter(runs)).toEqual([]);
});

test.each(['gateway', 'worker', 'scheduler', 'key-lookup', 'cli'])(
  'on a Node.js that is too old %s says which one it needs, in one line',
  async (app) => {
    await using folder = tempFolder();
    const older =
      'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.1.0" } })';
    const args = ['--import', `data:text/javascript,${older}`, `${repoRoot}dist/apps/${app}/main.js`];
    await using child = startNode({ args, cwd: folder.path, ipc: false });
    expect(await child.exited).toEqual({ code: 78, signal: null });
    expect(child.output.stderr).toMatch(/^llmproxy needs Node\.js 24 or later; this is 20\.1\.0 .*\n$/);
  },
);
