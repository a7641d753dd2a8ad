/** Limits of backends: one that is full is passed over, and only when all are full a request is refused. */
import { createGate, openai, startFakeBackend } from '@llmproxy/fake-backend';
import { redisForTests } from '@llmproxy/real-services';
import { expect, test } from 'vitest';
import { startGateway, testKey } from './harness/gateway.ts';
import { fetchText } from './harness/http-client.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';

const ask = {
  headers: { authorization: `Bearer ${testKey}` },
  body: '{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":5}',
};
const path = '/v1/chat/completions';
const nobodyListens = 'http://127.0.0.1:1';
/** A slow moment of the machine must not make a worker count by itself. */
const rateLimit = { redis_timeout: '20s', on_redis_failure: 'deny' };

test('a full backend is passed over, and a request is refused only when all are full', async () => {
  await using resources = new AsyncDisposableStack();
  const folder = resources.use(tempFolder());
  const place = resources.use(await redisForTests());
  const one = resources.use(await startFakeBackend());
  const two = resources.use(await startFakeBackend());
  const gate = createGate();
  for (const backend of [one, two]) backend.on(path, openai.chat({ headAfter: gate }));
  const gateway = resources.use(
    await startGateway({
      folder: folder.path,
      redisUrl: place.url,
      backends: [
        { name: 'one', url: one.url, limits: { max_concurrent: 2 } },
        { name: 'two', url: two.url, limits: { max_concurrent: 3 } },
      ],
      config: { rate_limit: rateLimit },
    }),
  );
  const held = Array.from({ length: 5 }, () => fetchText(gateway.address, path, ask));
  await until('both are full', () => one.openRequests === 2 && two.openRequests === 3);
  const refused = await fetchText(gateway.address, path, ask);
  expect(refused.status).toBe(429);
  expect(JSON.parse(refused.text)).toMatchObject({
    error: { code: 'rate_limit_exceeded', message: expect.stringContaining('the backends') as string },
  });
  gate.open();
  expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  expect([one.requests.length, two.requests.length]).toEqual([2, 3]);
});

test('failover goes to a backend with room, and holds a slot there', async () => {
  await using resources = new AsyncDisposableStack();
  const folder = resources.use(tempFolder());
  const place = resources.use(await redisForTests());
  const backend = resources.use(await startFakeBackend());
  const gate = createGate();
  backend.on(path, openai.chat({ headAfter: gate }));
  const gateway = resources.use(
    await startGateway({
      folder: folder.path,
      redisUrl: place.url,
      backends: [
        { name: 'gone', url: nobodyListens, limits: { max_concurrent: 100 }, weight: 1_000 },
        { name: 'there', url: backend.url, limits: { max_concurrent: 1 } },
      ],
      config: { rate_limit: rateLimit },
    }),
  );
  const held = fetchText(gateway.address, path, ask);
  await until('it has reached the backend', () => backend.openRequests === 1);
  // The only other backend is full: what cannot be reached is told, and nothing more is sent to the full one.
  expect((await fetchText(gateway.address, path, ask)).status).toBe(502);
  gate.open();
  expect((await held).status).toBe(200);
  expect(backend.requests).toHaveLength(1);
  await until('the slot is free again', async () => {
    const { status } = await fetchText(gateway.address, path, ask);
    return status === 200;
  });
});
