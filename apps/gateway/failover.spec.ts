/** Which backend gets a request, and what the client is told when one fails. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Agent, request } from 'undici';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { createGate, openai, play, startFakeBackend, type FakeBackend } from '@llmproxy/fake-backend';
import { dial, requestBytes } from './spec-client.ts';
import { startSpecGateway, type SpecGateway, type SpecGatewayOptions } from './spec-gateway.ts';

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

async function gatewayTo(options: SpecGatewayOptions): Promise<SpecGateway> {
  const gateway = await startSpecGateway(options);
  gateways.push(gateway);
  return gateway;
}
const toBoth = (more: Partial<SpecGatewayOptions> = {}) =>
  gatewayTo({
    backends: [
      { name: 'one', url: one.url },
      { name: 'two', url: two.url },
    ],
    ...more,
  });

async function post(gateway: SpecGateway, path = '/v1/chat/completions', body = '{"model":"m"}') {
  const {
    statusCode,
    headers,
    body: answer,
  } = await request(gateway.url + path, {
    method: 'POST',
    body,
    dispatcher: client,
  });
  return { status: statusCode, headers, text: await answer.text() };
}

/** An address where nobody listens. */
async function nobody(): Promise<string> {
  const gone = await startFakeBackend();
  await gone.close();
  return gone.url;
}

test('a backend that cannot be reached is passed over, and the event tells who answered', async () => {
  const gateway = await gatewayTo({
    backends: [
      { name: 'dead', url: await nobody() },
      { name: 'dead-too', url: await nobody() },
      { name: 'alive', url: one.url },
    ],
  });
  for (let i = 0; i < 3; i++) expect((await post(gateway)).status).toBe(200);
  await gateway.accessed(3);
  expect(gateway.events.map(({ backend }) => backend)).toEqual(['alive', 'alive', 'alive']);
  expect(one.requests).toHaveLength(3);
});

test('when no backend can be reached the client is told, and nothing of the address', async () => {
  const url = await nobody();
  const gateway = await gatewayTo({ backends: [{ name: 'dead', url }] });
  const { status, text } = await post(gateway);
  expect([status, JSON.parse(text)]).toEqual([
    502,
    {
      error: {
        message: 'Backend dead could not be reached.',
        type: 'upstream_error',
        param: null,
        code: 'backend_unreachable',
      },
    },
  ]);
  await gateway.accessed(1);
  expect(gateway.events).toMatchObject([
    {
      outcome: 'backend_error',
      status_code: 502,
      backend: 'dead',
      usage: null,
      usage_source: 'none',
      ttft_ms: null,
    },
  ]);
  expect(String(gateway.failures[0]?.cause)).toContain('ECONNREFUSED');
});

test.each([
  ['resets the connection', () => play.reset()],
  ['closes the connection', () => play.raw([], 'cut')],
  ['answers what is no HTTP', () => play.raw(['nonsense\r\n\r\n'])],
])('a request to a backend that %s instead of answering is not sent again', async (_, bad) => {
  for (const backend of [one, two]) backend.on('/v1/chat/completions', bad());
  const gateway = await toBoth();
  const { status, text } = await post(gateway);
  expect([status, text]).toEqual([502, expect.stringContaining('"code":"backend_unreachable"')]);
  expect(one.requests.length + two.requests.length).toBe(1);
});

test.each([500, 502, 503, 429])('an answer %i is an answer: no other backend is asked', async (status) => {
  for (const backend of [one, two]) backend.on('/v1/chat/completions', openai.error(status));
  const gateway = await toBoth();
  expect((await post(gateway)).status).toBe(status);
  expect(one.requests.length + two.requests.length).toBe(1);
  await gateway.accessed(1);
  expect(gateway.events[0]).toMatchObject({
    status_code: status,
    outcome: status >= 500 ? 'backend_error' : 'completed',
  });
});

test('a backend that does not answer in time is given up, and the client told so', async () => {
  one.on('/v1/messages', play.hang());
  const gateway = await gatewayTo({ backends: [{ name: 'slow', url: one.url, timeout: '50ms' }] });
  const { status, text } = await post(gateway, '/v1/messages');
  expect([status, JSON.parse(text)]).toMatchObject([
    504,
    { type: 'error', error: { type: 'timeout_error', message: 'Backend slow did not answer in time.' } },
  ]);
  await one.requests[0]?.aborted;
});

test.each([
  ['/v1/chat/completions', 503, '"code":"no_backend"'],
  ['/v1/messages', 529, '"type":"overloaded_error"'],
])('when no backend is well, %s gets %i and when to try again', async (path, expected, code) => {
  const gateway = await toBoth({ isAvailable: () => false });
  const { status, headers, text } = await post(gateway, path);
  expect([status, text]).toEqual([expected, expect.stringContaining(code)]);
  expect(headers).toMatchObject({ 'retry-after': '5', 'retry-after-ms': '5000' });
  await gateway.accessed(1);
  expect(gateway.events).toMatchObject([{ backend: null, backend_url: null, outcome: 'backend_error' }]);
});

test('requests are shared by weight, and spread, not in runs', async () => {
  const three = await startFakeBackend();
  const gateway = await gatewayTo({
    backends: [
      { name: 'a', url: one.url, weight: 3 },
      { name: 'b', url: two.url, weight: 2 },
      { name: 'c', url: three.url },
    ],
  });
  for (let i = 0; i < 12; i++) await post(gateway);
  await gateway.accessed(12);
  expect(gateway.events.map(({ backend }) => backend).join('')).toBe('abacbaabacba');
  await three.close();
});

test('an unhealthy backend gets nothing until it is well again', async () => {
  const sick = new Set(['one']);
  const gateway = await toBoth({ isAvailable: (name) => !sick.has(name) });
  for (let i = 0; i < 4; i++) await post(gateway);
  expect([one.requests.length, two.requests.length]).toEqual([0, 4]);
  sick.clear();
  for (let i = 0; i < 4; i++) await post(gateway);
  expect([one.requests.length, two.requests.length]).toEqual([2, 6]);
});

test('a connection of a client outlives every kind of error', async () => {
  one.on('/v1/reset', play.reset());
  one.on('/v1/late', play.hang());
  one.on('/v1/refused', openai.error(500));
  const gateway = await gatewayTo({
    backends: [{ url: one.url, timeout: '50ms' }],
    settings: { server: { max_body_size: 1000 } },
  });
  using socket = dial(gateway.port);
  const cases: [Buffer, number][] = [
    [requestBytes('GET /nowhere'), 404],
    [requestBytes('GET /v1/chat/completions'), 405],
    [requestBytes('POST /v1/chat/completions', 'no json'), 400],
    [requestBytes('POST /v1/chat/completions', 'x'.repeat(2000)), 413],
    [requestBytes('GET /v1/reset'), 502],
    [requestBytes('GET /v1/late'), 504],
    [requestBytes('GET /v1/refused'), 500],
    [requestBytes('GET /v1/models/unknown'), 404],
    [requestBytes('POST /v1/chat/completions', '{"model":"m"}'), 200],
  ];
  for (const [bytes, status] of cases) {
    socket.write(bytes);
    await socket.until(`HTTP/1.1 ${status} `);
    await socket.until('\r\n\r\n{');
  }
  const entries = await gateway.accessed(cases.length);
  expect(entries.map((entry) => entry.status)).toEqual(cases.map(([, status]) => status));
});

test('connections to a backend are used again after its errors', async () => {
  const gateway = await gatewayTo({ backends: [{ url: one.url }] });
  for (let i = 0; i < 5; i++) {
    one.enqueue(openai.error(i % 2 === 0 ? 500 : 404));
    await post(gateway);
  }
  expect(one.connections).toBeLessThan(3);
});

test('many requests at the same moment get their own answers', async () => {
  const gate = createGate();
  one.on('/v1/x', async (asked) => {
    await gate.opened;
    return play.bytes(asked.body);
  });
  const gateway = await gatewayTo({ backends: [{ url: one.url }] });
  const asked = Array.from({ length: 50 }, (_, i) => post(gateway, '/v1/x', `body ${i}`));
  await one.arrived(50);
  gate.open();
  const answers = await Promise.all(asked);
  expect(answers.map(({ text }) => text)).toEqual(Array.from({ length: 50 }, (_, i) => `body ${i}`));
});

const tlsFile = (name: string) => fileURLToPath(new URL(`../../test/fixtures/tls/${name}`, import.meta.url));

async function tlsBackend() {
  const key = readFileSync(tlsFile('backend.key'));
  const cert = readFileSync(tlsFile('backend.crt'));
  const server = createHttpsServer({ key, cert }, (asked, answer) => {
    answer.end(`${asked.method} ${asked.url} over TLS to ${asked.headers.host}`);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

test('an https backend whose certificate is not trusted is refused, and the client told why', async () => {
  const { server, port } = await tlsBackend();
  const gateway = await gatewayTo({ backends: [{ name: 'tls', url: `https://127.0.0.1:${port}` }] });
  const { status, text } = await post(gateway);
  expect([status, text]).toEqual([
    502,
    expect.stringContaining('Backend tls could not be reached: its TLS certificate is not trusted.'),
  ]);
  server.close();
});

test.each(['127.0.0.1', 'localhost'])(
  'an https backend at %s is reached, its certificate trusted by NODE_EXTRA_CA_CERTS',
  async (host) => {
    const { server, port } = await tlsBackend();
    const script = `
    import { startSpecGateway } from ${JSON.stringify(new URL('./spec-gateway.ts', import.meta.url).href)};
    const { url } = await startSpecGateway({ backends: [{ url: 'https://${host}:${port}/base' }] });
    console.log(url);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: tlsFile('backend.crt') },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [printed] = (await once(child.stdout, 'data')) as [Buffer];
    const answer = await request(`${printed.toString().trim()}/v1/x?q=1`, { dispatcher: client });
    expect(await answer.body.text()).toBe(`GET /base/v1/x?q=1 over TLS to ${host}:${port}`);
    child.kill('SIGKILL');
    await once(child, 'exit');
    server.close();
    server.closeAllConnections();
  },
);
