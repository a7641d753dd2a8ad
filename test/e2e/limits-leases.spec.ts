/** Slots of requests under way: held as long as their stream lives, and no longer than 30 s after a kill -9. */
import { createGate, openai, startFakeBackend } from '@llmproxy/fake-backend';
import { hashOfKey, keyIdOfHash } from '@llmproxy/key-store';
import { limitKeys } from '@llmproxy/limit-state';
import { redisForTests } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { expect, test } from 'vitest';
import { startFleet } from './harness/fleet.ts';
import { testKey } from './harness/gateway.ts';
import { fetchText, send } from './harness/http-client.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';

const chat = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
const streamed = { body: { ...chat, stream: true } };
const tag = `k:${keyIdOfHash(hashOfKey(testKey))}`;

test('a worker that is killed with open streams frees their slots within 30 s; other streams keep theirs', async () => {
  const gate = createGate();
  await using folder = tempFolder();
  await using place = await redisForTests();
  await using backend = await startFakeBackend();
  await using fleet = await startFleet(2, {
    folder: folder.path,
    redisUrl: place.url,
    backends: [{ name: 'fake', url: backend.url }],
    config: {
      server: { workers: 2 },
      rate_limit: {
        enabled: true,
        redis_timeout: '20s',
        on_redis_failure: 'deny',
        per_key: { max_concurrent: 8 },
      },
    },
  });
  await using redis = {
    client: connectRedis({ url: place.url, connectionName: 'tests', whenDown: 'queue' }),
    [Symbol.asyncDispose]: () => closeRedis(redis.client),
  };
  const held = () => redis.client.zcount(limitKeys.leases(tag), Date.now(), '+inf');

  backend.on('/v1/chat/completions', openai.chat({ gates: { 2: gate } }));
  const open = () => send(fleet.next(), '/v1/chat/completions', streamed);
  const streams = await Promise.all(Array.from({ length: 8 }, open));
  expect(streams.map(({ status }) => status)).toEqual(Array(8).fill(200));
  await until('all streams have begun', () => streams.every((stream) => stream.text() !== ''));
  expect((await fetchText(fleet.next(), '/v1/chat/completions', streamed)).status).toBe(429);

  const ended = new Set<number>();
  streams.forEach((stream, i) => void stream.ended.then(() => ended.add(i)));
  const [victim = 0] = fleet.gateways[0]?.workers() ?? [];
  process.kill(victim, 'SIGKILL');
  await until('its streams were cut', () => ended.size > 0);
  await until('its slots are free', async () => (await held()) === 8 - ended.size, 31_000);

  const lost = ended.size;
  expect(lost).toBeLessThan(8);
  const again = await Promise.all(Array.from({ length: lost }, open));
  expect(again.map(({ status }) => status)).toEqual(Array(lost).fill(200));
  expect((await fetchText(fleet.next(), '/v1/chat/completions', streamed)).status).toBe(429);

  gate.open();
  const finished = await Promise.all([...streams, ...again].map((stream) => stream.ended));
  expect(finished.filter(({ text }) => text.endsWith('data: [DONE]\n\n'))).toHaveLength(8);
  await until('no slot is held', async () => (await held()) === 0);
}, 90_000);
