import { Agent, request } from 'undici';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { createGate, openai, play, startFakeBackend, type FakeBackend } from '@llmproxy/fake-backend';
import { openBackends } from './backends.ts';
import { createModels } from './models.ts';
import { startSpecGateway, type SpecGateway } from './spec-gateway.ts';

let one: FakeBackend;
let two: FakeBackend;
const gateways: SpecGateway[] = [];
const client = new Agent();
beforeEach(async () => {
  [one, two] = await Promise.all([startFakeBackend(), startFakeBackend()]);
});
afterEach(async () => {
  for (const gateway of gateways.splice(0)) await gateway[Symbol.asyncDispose]();
  await Promise.all([one.close(), two.close()]);
});
afterAll(() => client.destroy());

async function gatewayTo(more: Partial<Parameters<typeof startSpecGateway>[0]> = {}): Promise<SpecGateway> {
  const backends = [
    { name: 'one', url: one.url },
    { name: 'two', url: two.url, api_key: 'second-credential' },
  ];
  const gateway = await startSpecGateway({ backends, ...more });
  gateways.push(gateway);
  return gateway;
}

async function get(gateway: SpecGateway, path = '/v1/models', method: 'GET' | 'HEAD' | 'POST' = 'GET') {
  const { statusCode, headers, body } = await request(gateway.url + path, { method, dispatcher: client });
  const text = await body.text();
  return { status: statusCode, headers, json: (text === '' ? undefined : JSON.parse(text)) as unknown };
}
const idsOf = (json: unknown) => (json as { data: { id: string }[] }).data.map(({ id }) => id);
const error = (code: string) => ({ error: expect.objectContaining({ code }) as unknown });

test('the lists of all backends are one list, each id once, with the fields of the first that has it', async () => {
  one.on('/v1/models', play.json({ data: [{ id: 'a', owned_by: 'one' }, { id: 'b' }] }));
  two.on(
    '/v1/models',
    play.json({
      data: [
        { id: 'a', owned_by: 'two' },
        { id: 'c', extra: { deep: 1 } },
      ],
    }),
  );
  const { status, json } = await get(await gatewayTo());
  expect(status).toBe(200);
  expect(json).toEqual({
    object: 'list',
    data: [{ id: 'a', owned_by: 'one' }, { id: 'b' }, { id: 'c', extra: { deep: 1 } }],
  });
  expect(two.requests[0]?.header('authorization')).toBe('Bearer second-credential');
});

test('one model can be asked for by its id, also an id with a slash', async () => {
  one.on('/v1/models', openai.models(['org/name', 'plain']));
  const gateway = await gatewayTo();
  for (const path of ['/v1/models/org%2Fname', '/v1/models/org/name']) {
    expect(await get(gateway, path)).toMatchObject({
      status: 200,
      json: { id: 'org/name', object: 'model' },
    });
  }
});

test.each(['/v1/models/unknown', '/v1/models/%', '/v1/models/', '/v1/models/__proto__'])(
  'a model that no backend has is a 404: %s',
  async (path) => {
    expect(await get(await gatewayTo(), path)).toMatchObject({ status: 404, json: error('model_not_found') });
  },
);

test('the list is kept for models_cache_ttl: one question for all who ask, also at the same moment', async () => {
  const gate = createGate();
  one.on('/v1/models', openai.models(['a'], { headAfter: gate }));
  const gateway = await gatewayTo({ settings: { routing: { models_cache_ttl: '1h' } } });
  const asked = [get(gateway), get(gateway), get(gateway, '/v1/models/a')];
  await one.arrived(1);
  gate.open();
  await Promise.all(asked);
  await get(gateway);
  expect([one.requests.length, two.requests.length]).toEqual([1, 1]);
});

test('with models_cache_ttl 0s every question goes to the backends', async () => {
  const gateway = await gatewayTo({ settings: { routing: { models_cache_ttl: '0s' } } });
  await get(gateway);
  await get(gateway);
  expect(one.requests).toHaveLength(2);
});

test.each([
  ['answers an error', openai.error(500)],
  ['answers what is no JSON', play.bytes('<html>')],
  ['answers no list', play.json({ models: [] })],
  ['resets the connection', play.reset()],
  ['breaks off', play.stream(['{"data":'], { ending: 'reset' })],
])('a backend that %s is left out of the list', async (_, bad) => {
  one.on('/v1/models', bad);
  two.on('/v1/models', openai.models(['c']));
  expect(idsOf((await get(await gatewayTo())).json)).toEqual(['c']);
});

test('entries that are no models are left out', async () => {
  one.on('/v1/models', play.json({ data: [null, 1, { id: 2 }, { name: 'x' }, { id: 'a' }] }));
  two.on('/v1/models', play.json({ data: [] }));
  expect(idsOf((await get(await gatewayTo())).json)).toEqual(['a']);
});

test('an unhealthy backend is not asked', async () => {
  const { json } = await get(await gatewayTo({ isAvailable: (name) => name === 'two' }));
  expect([one.requests.length, idsOf(json)]).toEqual([0, ['fake-model']]);
});

test('when no backend can list, the client is told, and the next question asks again', async () => {
  one.on('/v1/models', play.reset());
  two.on('/v1/models', openai.error(401));
  const gateway = await gatewayTo();
  expect(await get(gateway)).toMatchObject({ status: 502, json: error('backend_unreachable') });
  one.on('/v1/models', openai.models(['a']));
  expect(idsOf((await get(gateway)).json)).toEqual(['a']);
});

test('when no backend is well, the client is told', async () => {
  expect(await get(await gatewayTo({ isAvailable: () => false }))).toMatchObject({
    status: 503,
    json: error('no_backend'),
  });
});

test('HEAD is answered without a body, other methods are refused', async () => {
  const gateway = await gatewayTo();
  expect(await get(gateway, '/v1/models', 'HEAD')).toMatchObject({ status: 200, json: undefined });
  const refused = await get(gateway, '/v1/models', 'POST');
  expect(refused).toMatchObject({ status: 405, json: error('method_not_allowed') });
  expect(refused.headers['allow']).toBe('GET, HEAD');
});

test('listing models costs nobody tokens: an access line, but no usage event', async () => {
  const gateway = await gatewayTo();
  await get(gateway);
  expect(await gateway.accessed(1)).toMatchObject([
    { path: '/v1/models', status: 200, outcome: 'completed' },
  ]);
  expect(gateway.events).toEqual([]);
});

test.each([
  ['before its head', play.hang()],
  ['in the middle of its list', play.stream(['{"data":['], { ending: 'hang' })],
])('a backend that stalls %s does not hold up the list for long, and is let go', async (_, stalling) => {
  one.on('/v1/models', stalling);
  const settings = {
    weight: 1,
    timeoutMs: 0,
    connectTimeoutMs: 5_000,
    inject: [],
    secretHeaders: [],
    includeUsage: true,
  };
  const backends = openBackends(
    [one, two].map(({ url }, i) => ({ name: `b${i}`, url, ...settings })),
    [],
  );
  const models = createModels({
    backends,
    isAvailable: () => true,
    cacheMs: 0,
    nowMs: () => 0,
    fetchTimeoutMs: 50,
  });
  expect(await models('/v1/models', null)).toMatchObject({ kind: 'answered' });
  await one.requests[0]?.aborted;
  await Promise.all(backends.map(({ forwarder }) => forwarder.close()));
});
