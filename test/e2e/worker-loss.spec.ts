/** kill -9 of a gateway worker process: the others serve on, another takes its place, no count is lost. */
import { createGate, openai, startFakeBackend } from '@llmproxy/fake-backend';
import { redisForTests } from '@llmproxy/real-services';
import { expect, test } from 'vitest';
import { startGateway, type Gateway } from './harness/gateway.ts';
import { fetchText, send } from './harness/http-client.ts';
import { metricSum } from './harness/metrics.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';

const chat = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
const streamed = { ...chat, stream: true };

/** Sends so many requests, a few at a time, each on a connection of its own; returns how many got their answer. */
async function serve(gateway: Gateway, count: number): Promise<number> {
  let served = 0;
  for (let sent = 0; sent < count; sent += 5) {
    const answers = Array.from({ length: 5 }, () =>
      fetchText(gateway.address, '/v1/chat/completions', { body: chat }),
    );
    for (const answer of await Promise.allSettled(answers)) {
      if (answer.status === 'fulfilled' && answer.value.status === 200 && answer.value.isComplete) served++;
    }
  }
  return served;
}

const requestsTotal = (gateway: Gateway) => metricSum(gateway.management, 'llmproxy_requests_total');

test('a worker that is killed is replaced while the others serve, and /metrics forgets nothing', async () => {
  const gate = createGate();
  await using folder = tempFolder();
  await using redis = await redisForTests();
  await using backend = await startFakeBackend();
  await using gateway = await startGateway({
    folder: folder.path,
    redisUrl: redis.url,
    backends: [{ name: 'fake', url: backend.url }],
  });
  const before = gateway.workers();
  expect(before).toHaveLength(2);

  expect(await serve(gateway, 40)).toBe(40);
  expect(await requestsTotal(gateway)).toBe(40);

  backend.on('/v1/chat/completions', openai.chat({ gates: { 2: gate } }));
  const streams = await Promise.all(
    Array.from({ length: 8 }, () => send(gateway.address, '/v1/chat/completions', { body: streamed })),
  );
  await until('all streams have begun', () => streams.every((stream) => stream.text() !== ''));
  expect(await metricSum(gateway.management, 'llmproxy_in_flight_requests')).toBe(8);
  backend.on('/v1/chat/completions', openai.chat());

  const [victim = 0] = before;
  process.kill(victim, 'SIGKILL');
  await until('the loss was noticed', () => !gateway.workers().includes(victim));
  const servedByTheRest = await serve(gateway, 20);
  expect(servedByTheRest).toBe(20);
  expect(await requestsTotal(gateway)).toBe(60);
  await until('another worker listens', async () =>
    (await fetchText(gateway.management, '/readyz?verbose')).text.includes('[+]workers ok'),
  );
  expect(gateway.workers()).toHaveLength(2);

  gate.open();
  const ended = await Promise.all(streams.map((stream) => stream.ended));
  const finished = ended.filter(({ isComplete, text }) => isComplete && text.endsWith('data: [DONE]\n\n'));
  expect(finished.length).toBeGreaterThan(0);
  expect(finished.length).toBeLessThan(8);
  expect(await serve(gateway, 20)).toBe(20);
  await until('every answer is counted', async () => (await requestsTotal(gateway)) === 80 + finished.length);
  expect(await metricSum(gateway.management, 'llmproxy_in_flight_requests')).toBe(0);

  gateway.kill('SIGTERM');
  expect(await gateway.exited).toEqual({ code: 0, signal: null });
});
