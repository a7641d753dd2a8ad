/** What clients may send: continued, pipelined, too large, too slow, or no HTTP at all. */
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createGate, play, startFakeBackend, type FakeBackend } from '@llmproxy/fake-backend';
import { dial, requestBytes, type SpecClient } from './spec-client.ts';
import { startSpecGateway, type SpecGateway } from './spec-gateway.ts';

const key = 'sk-of-the-edge-spec-0123456789';
let backend: FakeBackend;
let gateway: SpecGateway;
beforeEach(async () => {
  backend = await startFakeBackend();
  gateway = await startSpecGateway({
    backends: [{ name: 'one', url: backend.url }],
    settings: {
      server: { max_body_size: 1000, read_timeout: '100ms' },
      auth: { pipeline: [{ name: 'list', type: 'static', static: { keys: [{ key, user_id: 'u1' }] } }] },
    },
  });
});
afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
  await backend.close();
});

const chatHead = (...more: string[]) =>
  ['POST /v1/chat/completions HTTP/1.1', 'Host: g', ...more, '', ''].join('\r\n');
const authorized = `Authorization: Bearer ${key}`;
const get = (path: string) => requestBytes(`GET ${path}`, '', [authorized]);
const whole = /^HTTP\/1\.1 \d{3} .*\r\n\r\n\{.*\}$/s;

test('a client that waits for 100 Continue is told to go on, and served', async () => {
  using client = dial(gateway.port);
  client.write(chatHead(authorized, 'Expect: 100-continue', 'Content-Length: 13'));
  expect(await client.until('\r\n\r\n')).toBe('HTTP/1.1 100 Continue\r\n\r\n');
  client.write('{"model":"m"}');
  await client.until('HTTP/1.1 200 OK');
  await client.until('"total_tokens":15');
  expect(backend.requests[0]?.header('expect')).toBeUndefined();
});

test.each([
  ['a body that is too large', [authorized, 'Content-Length: 1001'], 413, 'request_too_large'],
  ['an unknown key', ['Authorization: Bearer wrong', 'Content-Length: 13'], 401, 'invalid_api_key'],
  ['no key', ['Content-Length: 13'], 401, 'invalid_api_key'],
])(
  'a client that waits for 100 Continue with %s is refused before it sends anything',
  async (_, more, status, code) => {
    using client = dial(gateway.port);
    client.write(chatHead('Expect: 100-continue', ...more));
    expect(await client.closed).toBe('end');
    expect(client.received).toMatch(whole);
    expect(client.received).toMatch(
      new RegExp(`^HTTP/1\\.1 ${status} .*connection: close.*"code":"${code}"`, 'is'),
    );
    expect(backend.connections).toBe(0);
  },
);

test('an expectation that is not known is ignored', async () => {
  backend.enqueue(play.bytes('{"ok":1}'));
  using client = dial(gateway.port);
  client.write(requestBytes('GET /v1/x', '', [authorized, 'Expect: the-unexpected']));
  await client.until('HTTP/1.1 200 OK');
});

test.each([
  ['by its Content-Length', [`Content-Length: 5000`], 'x'.repeat(5000)],
  ['by its chunks', ['Transfer-Encoding: chunked'], `1388\r\n${'x'.repeat(5000)}\r\n0\r\n\r\n`],
])('a body over the limit %s is refused, and the connection goes on', async (_, more, body) => {
  using client = dial(gateway.port);
  client.write(chatHead(authorized, ...more) + body);
  await client.until('HTTP/1.1 413 ');
  await client.until('"code":"request_too_large"');
  client.write(requestBytes('POST /v1/chat/completions', '{"model":"m"}', [authorized]));
  await client.until('HTTP/1.1 200 OK');
  expect(backend.requests).toHaveLength(1);
});

test('a body of exactly the limit is let through', async () => {
  backend.enqueue(play.bytes('{"ok":1}'));
  using client = dial(gateway.port);
  client.write(requestBytes('POST /v1/x', 'x'.repeat(1000), [authorized]));
  await client.until('HTTP/1.1 200 OK');
  expect(backend.requests[0]?.body).toHaveLength(1000);
});

test('pipelined requests are served one after the other, in their order', async () => {
  const gate = createGate();
  backend.on('/v1/first', play.bytes('first', 'text/plain', { headAfter: gate }));
  backend.on('/v1/second', play.bytes('second'));
  using client = dial(gateway.port);
  client.write(Buffer.concat([get('/v1/first'), get('/nowhere'), get('/v1/second')]));
  await backend.arrived(1);
  expect(client.received).toBe('');
  gate.open();
  const received = await client.until('second');
  const places = ['HTTP/1.1 200', 'first', 'HTTP/1.1 404', 'unknown_route', 'second'].map((part) =>
    received.indexOf(part),
  );
  expect(places).toEqual([...places].sort((a, b) => a - b));
  expect(places[0]).toBe(0);
});

test('a long queue of pipelined requests leaves nothing behind on its connection', async () => {
  const warnings: Error[] = [];
  const warned = (warning: Error) => void warnings.push(warning);
  process.on('warning', warned);
  backend.on('/v1/x', play.bytes('{"x":1}'));
  using client = dial(gateway.port);
  for (let round = 0; round < 3; round++) {
    client.write(Buffer.concat(Array.from({ length: 40 }, () => get('/v1/x'))));
    await gateway.accessed((round + 1) * 40);
  }
  for (let i = 0; i < 120; i++) await client.until('{"x":1}');
  process.off('warning', warned);
  expect(warnings).toEqual([]);
  expect((await gateway.accessed(120)).map(({ status }) => status)).toEqual(Array(120).fill(200));
});

test('a pipelined answer that breaks off ends the connection after the ones before it', async () => {
  backend.on('/v1/first', play.bytes('{"first":1}', 'application/json'));
  backend.on('/v1/second', play.stream(['data: half\n\n'], { ending: 'reset' }));
  using client = dial(gateway.port);
  client.write(Buffer.concat([get('/v1/first'), get('/v1/second'), get('/v1/first')]));
  await client.closed;
  expect(client.received).toMatch(/\{"first":1\}HTTP\/1\.1 200 OK.*data: half\n\n.*data: \{"error":/s);
  expect(client.received).not.toContain('\r\n0\r\n\r\n');
  expect(await gateway.accessed(2)).toMatchObject([
    { path: '/v1/first', outcome: 'completed' },
    { path: '/v1/second', outcome: 'truncated' },
  ]);
});

test.each([
  ['two Content-Lengths', 'POST', 'Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}'],
  ['a Content-Length that is no number', 'POST', 'Content-Length: 1x\r\n\r\n{'],
  ['a length and an encoding', 'POST', 'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}'],
  ['a header without a colon', 'GET', 'no colon\r\n\r\n'],
  ['a folded header name', 'GET', ' x: 1\r\n\r\n'],
])('%s is refused in the dialect of the path, and ends the connection', async (_, method, rest) => {
  for (const [path, dialect] of [
    ['/v1/chat/completions', /"code":"invalid_request"/],
    ['/v1/messages', /"type":"error","error":\{"type":"invalid_request_error"/],
  ] as const) {
    using client = dial(gateway.port);
    client.write(`${method} ${path} HTTP/1.1\r\nHost: g\r\n${rest}`);
    await client.closed;
    expect(client.received).toMatch(/^HTTP\/1\.1 400 .*connection: close/is);
    expect(client.received).toMatch(dialect);
  }
  expect(backend.connections).toBe(0);
  expect(await gateway.metricsText()).toMatch(
    /llmproxy_errors_total\{code="invalid_request",blame="client"\} 2/,
  );
});

test('what is no HTTP at all gets an answer in words', async () => {
  using client = dial(gateway.port);
  client.write('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03');
  await client.closed;
  expect(client.received).toMatch(/^HTTP\/1\.1 400 .*The request is not valid HTTP\/1\.1/s);
});

test('nonsense behind a request is refused after its answer, and does not get into it', async () => {
  const gate = createGate();
  backend.enqueue(play.stream(['data: 1\n\n', gate, 'data: [DONE]\n\n']));
  using client = dial(gateway.port);
  client.write(requestBytes('POST /v1/chat/completions', '{"model":"m","stream":true}', [authorized]));
  await client.until('data: 1\n\n');
  client.write('nonsense\r\n\r\n');
  gate.open();
  await client.closed;
  expect(client.received.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400']);
  expect(client.received.indexOf('[DONE]')).toBeLessThan(client.received.indexOf('HTTP/1.1 400'));
  expect(await gateway.accessed(1)).toMatchObject([{ outcome: 'completed' }]);
});

test('a broken chunk in a body is refused in the dialect of the path, and recorded once', async () => {
  using client = dial(gateway.port);
  const head = `POST /v1/messages HTTP/1.1\r\nHost: g\r\n${authorized}\r\nTransfer-Encoding: chunked\r\n\r\n`;
  client.write(`${head}2\r\n{"\r\n`);
  await once(client.socket, 'connect');
  client.write('zz\r\n');
  await client.closed;
  expect(client.received).toMatch(/^HTTP\/1\.1 400 .*connection: close.*"type":"invalid_request_error"/is);
  expect(await gateway.accessed(1)).toMatchObject([
    { status: 400, error: 'invalid_request', path: '/v1/messages' },
  ]);
});

test('a body that does not come in time is refused in the dialect of the path, and recorded once', async () => {
  using client = dial(gateway.port);
  client.write(`POST /v1/messages HTTP/1.1\r\nHost: g\r\n${authorized}\r\nContent-Length: 10\r\n\r\n{`);
  await client.closed;
  expect(client.received).toMatch(/^HTTP\/1\.1 408 .*connection: close.*"type":"timeout_error".*\}$/is);
  expect(await gateway.accessed(1)).toMatchObject([
    { status: 408, outcome: 'refused', error: 'request_timeout' },
  ]);
});

test('a head that does not come in time is refused', async () => {
  using client = dial(gateway.port);
  client.write('GET /v1/x HTT');
  await client.closed;
  expect(client.received).toMatch(/^HTTP\/1\.1 408 .*"code":"request_timeout"/s);
});

test.each([
  ['just over our limit', 70_000, '/v1/messages', /"type":"request_too_large"/],
  ['far over it', 300_000, '/v1/chat/completions', /"code":"headers_too_large"/],
])('a head %s (%i bytes) is refused in the dialect of %s', async (_, bytes, path, dialect) => {
  using client = dial(gateway.port);
  client.write(`GET ${path} HTTP/1.1\r\nHost: g\r\nx-large: ${'x'.repeat(bytes)}\r\n\r\n`);
  await client.until('HTTP/1.1 431 ');
  await client.until('}');
  expect(client.received).toMatch(dialect);
});

test('an HTTP/1.0 client gets a body it understands', async () => {
  backend.enqueue(play.stream(['data: 1\n\n', 'data: 2\n\n']));
  using client = dial(gateway.port);
  client.write(`GET /v1/x HTTP/1.0\r\n${authorized}\r\n\r\n`);
  expect(await client.closed).toBe('end');
  expect(client.received).toMatch(/\r\n\r\ndata: 1\n\ndata: 2\n\n$/);
});

test('a target in absolute form is served like its path', async () => {
  backend.enqueue(play.bytes('{"ok":1}'));
  using client = dial(gateway.port);
  client.write(get('http://elsewhere.example/v1/x?q=1'));
  await client.until('{"ok":1}');
  expect(backend.requests[0]).toMatchObject({ target: '/v1/x?q=1' });
  expect(backend.requests[0]?.header('host')).toBe(`127.0.0.1:${backend.port}`);
});

test('an upgrade is not made: the request is served as it stands', async () => {
  backend.enqueue(play.bytes('{"ok":1}'));
  using client = dial(gateway.port);
  const upgrade = [
    'Connection: Upgrade, HTTP2-Settings',
    'Upgrade: h2c',
    'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA',
  ];
  client.write(requestBytes('GET /v1/x', '', [authorized, ...upgrade]));
  await client.until('{"ok":1}');
  for (const name of ['upgrade', 'http2-settings']) expect(backend.requests[0]?.header(name)).toBeUndefined();
});

test.each([
  ['Authorization: Bearer ', 200],
  ['authorization: bearer ', 200],
  ['x-api-key: ', 200],
  ['Authorization: Basic ', 401],
])('a key sent as "%s…" gets %i', async (prefix, status) => {
  using client: SpecClient = dial(gateway.port);
  client.write(requestBytes('POST /v1/messages', '{"model":"m"}', [`${prefix}${key}`]));
  await client.until(`HTTP/1.1 ${status} `);
});
