/** SIGTERM: what is under way finishes or is told, and is recorded either way. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { anthropic, createGate, openai, startFakeBackend } from '@llmproxy/fake-backend';
import { redisForTests } from '@llmproxy/real-services';
import { expect, test } from 'vitest';
import { startGateway } from './harness/gateway.ts';
import { fetchText, send, type Answer } from './harness/http-client.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';
import { takeEvents } from './harness/usage-events.ts';

const chat = { model: 'm', stream: true, messages: [{ role: 'user', content: 'hi' }] };
const message = { ...chat, max_tokens: 10 };

/** Opens so many streams and waits until each has its first frame. */
async function openStreams(address: string, paths: readonly string[]): Promise<Answer[]> {
  const body = (path: string) => (path === '/v1/messages' ? message : chat);
  const streams = await Promise.all(paths.map((path) => send(address, path, { body: body(path) })));
  await until('the first frame of each stream', () =>
    streams.every((stream) => stream.text().includes('\n\n')),
  );
  return streams;
}

const refused = (address: string): Promise<boolean> =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(address);
    const socket = connect(Number(port), hostname);
    socket.once('connect', () => resolve(false)).once('error', () => resolve(true));
    socket.once('connect', () => socket.destroy());
  });

/** A connection that is opened and never used, as browsers and load balancers open them ahead. */
async function connectSilently(address: string): Promise<Disposable> {
  const { hostname, port } = new URL(address);
  const socket = connect(Number(port), hostname).on('error', () => undefined);
  await once(socket, 'connect');
  return { [Symbol.dispose]: () => socket.destroy() };
}

test('after SIGTERM 100 open streams finish, nothing new is let in, and every event is in the queue', async () => {
  const gate = createGate();
  await using folder = tempFolder();
  await using redis = await redisForTests();
  await using backend = await startFakeBackend({
    plays: { '/v1/chat/completions': openai.chat({ gates: { 2: gate } }) },
  });
  await using gateway = await startGateway({
    folder: folder.path,
    redisUrl: redis.url,
    backends: [{ name: 'fake', url: backend.url }],
    config: { server: { drain_timeout: '10m' } }, // nothing here may wait for it
  });
  using _silent = await connectSilently(gateway.address);
  const streams = await openStreams(gateway.address, Array<string>(100).fill('/v1/chat/completions'));

  gateway.kill('SIGTERM');
  await until('readyz says no', async () => (await fetchText(gateway.management, '/readyz')).status === 503);
  expect((await fetchText(gateway.management, '/livez')).status).toBe(200);
  await until('new connections are refused', () => refused(gateway.address));
  expect(backend.openRequests).toBe(100);

  gate.open();
  const ended = await Promise.all(streams.map((stream) => stream.ended));
  expect(
    ended.filter(({ isComplete, text }) => isComplete && text.endsWith('data: [DONE]\n\n')),
  ).toHaveLength(100);
  expect(await gateway.exited).toEqual({ code: 0, signal: null });

  const events = await takeEvents(redis.url, 100);
  expect(new Set(events.map(({ event_id }) => event_id)).size).toBe(100);
  expect(events).toHaveLength(100);
  for (const event of events) {
    expect(event).toMatchObject({
      outcome: 'completed',
      status_code: 200,
      usage_source: 'backend',
      usage: { prompt_tokens: 9, completion_tokens: 6, total_tokens: 15 },
    });
  }
});

test('what does not finish within drain_timeout is told so in band, never looks complete, and is recorded', async () => {
  const never = createGate();
  await using folder = tempFolder();
  await using redis = await redisForTests();
  await using backend = await startFakeBackend({
    plays: {
      '/v1/chat/completions': openai.chat({ gates: { 2: never } }),
      '/v1/messages': anthropic.messages({ gates: { 2: never } }),
      '/v1/embeddings': openai.embeddings({ headAfter: never }),
    },
  });
  await using gateway = await startGateway({
    folder: folder.path,
    redisUrl: redis.url,
    backends: [{ name: 'fake', url: backend.url }],
    config: { server: { drain_timeout: '500ms' } },
  });
  const paths = Array.from({ length: 100 }, (_, i) => (i % 2 ? '/v1/chat/completions' : '/v1/messages'));
  const streams = await openStreams(gateway.address, paths);
  const unanswered = fetchText(gateway.address, '/v1/embeddings', { body: { model: 'm', input: 'x' } });
  await backend.arrived(101);

  gateway.kill('SIGTERM');
  const ended = await Promise.all(streams.map((stream) => stream.ended));
  for (const [i, { text, isComplete }] of ended.entries()) {
    const last = text.split('\n\n').at(-2) ?? '';
    expect(isComplete).toBe(false);
    expect(text).not.toContain('[DONE]');
    if (i % 2) expect(JSON.parse(last.replace(/^data: /, ''))).toMatchObject({ error: { code: 'draining' } });
    else {
      expect(last).toMatch(/^event: error\ndata: /);
      expect(JSON.parse(last.slice(last.indexOf('{')))).toMatchObject({
        type: 'error',
        error: { type: 'overloaded_error' },
      });
    }
  }
  const { status, headers, text, isComplete } = await unanswered;
  expect({ status, isComplete }).toEqual({ status: 503, isComplete: true });
  expect(JSON.parse(text)).toMatchObject({ error: { code: 'draining', type: 'overloaded_error' } });
  expect(Number(headers['retry-after'])).toBeGreaterThan(0);
  expect(await gateway.exited).toEqual({ code: 0, signal: null });

  const events = await takeEvents(redis.url, 101);
  expect(events.filter(({ outcome }) => outcome === 'truncated')).toHaveLength(100);
  expect(events.filter(({ outcome }) => outcome === 'backend_error')).toMatchObject([
    { endpoint: 'embeddings', status_code: 503 },
  ]);
  await until('the backend was let go', () => backend.openRequests === 0);
});
