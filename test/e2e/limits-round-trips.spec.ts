/** What limits cost in calls to Redis, and what shadow mode leaves alone. */
import { createGate, openai, startFakeBackend } from '@llmproxy/fake-backend';
import { redisForTests } from '@llmproxy/real-services';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { startGateway } from './harness/gateway.ts';
import { fetchText } from './harness/http-client.ts';
import { metricSum } from './harness/metrics.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';

const body = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
const everyScope = {
  enabled: true,
  requests_per_second: 1000,
  requests_per_minute: 1000,
  tokens_per_minute: 1_000_000,
  max_concurrent: 10,
};

test('all limits of a request cost one call before the backend is dialled, and one after the answer', async () => {
  const gate = createGate();
  await using folder = tempFolder();
  await using place = await redisForTests();
  await using backend = await startFakeBackend();
  await using gateway = await startGateway({
    folder: folder.path,
    redisUrl: place.url,
    backends: [{ name: 'fake', url: backend.url }],
    config: {
      server: { workers: 1 },
      rate_limit: {
        enabled: true,
        redis_timeout: '20s',
        on_redis_failure: 'deny',
        global: everyScope,
        per_key: everyScope,
        per_ip: everyScope,
        per_backend: everyScope,
      },
    },
  });
  // The first request tells Redis the script and which scopes are in use.
  expect((await fetchText(gateway.address, '/v1/chat/completions', { body })).status).toBe(200);

  const commands: string[][] = [];
  const connection = new Redis(new URL(place.url).pathname, {
    db: Number(new URL(place.url).searchParams.get('db')),
  });
  const monitor = await connection.monitor();
  const database = new URL(place.url).searchParams.get('db') ?? '0';
  monitor.on('monitor', (_at: string, args: string[], source: string, of: string) => {
    // What a script does inside Redis is no call.
    if (source !== 'lua' && of === database && args.some((arg) => /^lp:(?:\{|limits)/.test(arg)))
      commands.push(args);
  });
  backend.on('/v1/chat/completions', openai.chat({ headAfter: gate }));
  const answer = fetchText(gateway.address, '/v1/chat/completions', { body });
  await backend.arrived(2);
  await until('the call was seen', () => commands.length > 0);
  expect(commands.map(([name]) => name)).toEqual(['evalsha']);
  const [call = []] = commands;
  for (const scope of ['lp:{g}:', 'lp:{k:', 'lp:{ip:', 'lp:{b:']) {
    expect(call.some((arg) => arg.startsWith(scope))).toBe(true);
  }
  gate.open();
  expect((await answer).status).toBe(200);
  await until('it was settled', () => commands.length > 1);
  expect(commands.map(([name]) => name)).toEqual(['evalsha', 'evalsha']);
  monitor.disconnect();
  connection.disconnect();
});

test('a limit in shadow mode is counted and logged, and lets everything pass', async () => {
  await using folder = tempFolder();
  await using place = await redisForTests();
  await using backend = await startFakeBackend();
  await using gateway = await startGateway({
    folder: folder.path,
    redisUrl: place.url,
    backends: [{ name: 'fake', url: backend.url }],
    config: {
      rate_limit: {
        enabled: true,
        redis_timeout: '20s',
        on_redis_failure: 'deny',
        per_key: { mode: 'shadow', requests_per_minute: 5 },
      },
    },
  });
  for (let i = 0; i < 12; i++)
    expect((await fetchText(gateway.address, '/v1/chat/completions', { body })).status).toBe(200);
  await until(
    '7 would have been refused',
    async () =>
      (await metricSum(gateway.management, 'llmproxy_rate_limit_refusals_total', {
        mode: 'shadow',
        scope: 'key',
      })) === 7,
  );
  const told = () => gateway.output.stdout.match(/"shadow_refused":"key:requests_per_minute"/g) ?? [];
  await until('their access lines tell which limit', () => told().length === 7);
});
