/** A client that leaves cancels its request at the backend, wherever the two are, and leaves one record behind. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createGate, play, startFakeBackend, type FakeBackend } from '@llmproxy/fake-backend';
import { dial, requestBytes } from './spec-client.ts';
import { startSpecGateway, type SpecGateway } from './spec-gateway.ts';

let backend: FakeBackend;
let gateway: SpecGateway;
beforeEach(async () => {
  backend = await startFakeBackend();
  gateway = await startSpecGateway({ backends: [{ name: 'one', url: backend.url }] });
});
afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
  await backend.close();
});

const bodies = { stream: '{"model":"m","stream":true}', 'whole answer': '{"model":"m"}' };
const both = Object.entries(bodies);

test.each(both)('a client that leaves before the head of a %s cancels it at the backend', async (_, body) => {
  backend.enqueue(play.hang());
  const client = dial(gateway.port);
  client.write(requestBytes('POST /v1/chat/completions', body));
  const [seen] = await backend.arrived(1);
  client.leave();
  await seen?.aborted;
  expect(await gateway.accessed(1)).toMatchObject([{ status: 499, outcome: 'client_closed', bytes: 0 }]);
  expect(gateway.events).toMatchObject([
    {
      status_code: 499,
      outcome: 'client_closed',
      usage: null,
      usage_source: 'none',
      backend: 'one',
      ttft_ms: null,
    },
  ]);
});

test.each(both)(
  'a client that leaves in the middle of a %s cancels it at the backend',
  async (what, body) => {
    const [type, first] =
      what === 'stream' ? ['text/event-stream', 'data: 1\n\n'] : ['application/json', '{"half":'];
    backend.enqueue({ ...play.stream([first], { ending: 'hang' }), headers: ['content-type', type] });
    const client = dial(gateway.port);
    client.write(requestBytes('POST /v1/chat/completions', body));
    await client.until(first);
    client.leave();
    await backend.requests[0]?.aborted;
    expect(await gateway.accessed(1)).toMatchObject([
      { status: 200, outcome: 'client_closed', error: 'client_closed' },
    ]);
    expect(gateway.events).toMatchObject([{ status_code: 200, outcome: 'client_closed' }]);
    expect(gateway.events[0]?.ttft_ms).toBeGreaterThan(0);
  },
);

test('a client that only says goodbye (FIN) cancels its request too', async () => {
  backend.enqueue(play.hang());
  using client = dial(gateway.port);
  client.write(requestBytes('POST /v1/chat/completions', bodies.stream));
  const [seen] = await backend.arrived(1);
  client.socket.end();
  await seen?.aborted;
  expect(await gateway.accessed(1)).toMatchObject([{ outcome: 'client_closed' }]);
});

test('a client that leaves while its head is sent but no byte of the stream cancels it at the backend', async () => {
  backend.enqueue(play.stream([createGate()]));
  const client = dial(gateway.port);
  client.write(requestBytes('POST /v1/chat/completions', bodies.stream));
  await client.until('\r\n\r\n');
  client.leave();
  await backend.requests[0]?.aborted;
  expect(await gateway.accessed(1)).toMatchObject([{ status: 200, outcome: 'client_closed', ttft_ms: null }]);
});

test('usage that was seen before the client left is counted', async () => {
  const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
  backend.enqueue(play.stream([play.frame({ choices: [], usage }), 'data: x\n\n', createGate()]));
  const client = dial(gateway.port);
  client.write(requestBytes('POST /v1/chat/completions', bodies.stream));
  await client.until('data: x\n\n');
  client.leave();
  await gateway.accessed(1);
  expect(gateway.events).toMatchObject([{ outcome: 'client_closed', usage, usage_source: 'backend' }]);
});

test('a client that leaves in the middle of its own body never reaches a backend', async () => {
  const client = dial(gateway.port);
  client.write('POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nContent-Length: 100\r\n\r\n{"model":');
  await once(client.socket, 'connect');
  client.socket.end();
  expect(await gateway.accessed(1)).toMatchObject([
    { status: 499, outcome: 'client_closed', error: 'client_closed' },
  ]);
  expect([backend.connections, gateway.events.length]).toEqual([0, 0]);
});

test('a client that leaves while its request still goes out to the backend cancels it there', async () => {
  const reached = Promise.withResolvers<Socket>();
  const deaf = createServer((socket) => {
    socket.once('data', () => {
      socket.pause();
      reached.resolve(socket);
    });
    socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(deaf, 'listening');
  const url = `http://127.0.0.1:${(deaf.address() as AddressInfo).port}`;
  await using own = await startSpecGateway({ backends: [{ url }] });
  const client = dial(own.port);
  client.write(requestBytes('POST /v1/files', 'x'.repeat(9 * 1024 * 1024)));
  const socket = await reached.promise;
  client.leave();
  expect(await own.accessed(1)).toMatchObject([{ status: 499, outcome: 'client_closed' }]);
  socket.resume();
  await once(socket, 'close');
  deaf.close();
});

test('a client that leaves while it does not read cancels its request at the backend', async () => {
  backend.enqueue(play.huge(256 * 1024 * 1024));
  const client = dial(gateway.port);
  client.write(requestBytes('GET /v1/x'));
  await client.until('\r\n\r\n');
  client.socket.pause();
  client.leave();
  await backend.requests[0]?.aborted;
  expect(await gateway.accessed(1)).toMatchObject([{ outcome: 'client_closed' }]);
});

test('of the pipelined requests of a client that leaves one is cancelled and the rest are never begun', async () => {
  backend.on('/v1/first', play.stream([createGate()]));
  const client = dial(gateway.port);
  client.write(Buffer.concat(['first', 'second', 'third'].map((name) => requestBytes(`GET /v1/${name}`))));
  const [first] = await backend.arrived(1);
  client.leave();
  await first?.aborted;
  expect((await gateway.accessed(1)).map(({ outcome }) => outcome)).toEqual(['client_closed']);
  expect(backend.requests).toHaveLength(1);
  expect(gateway.events).toHaveLength(1);
});

test('a client that closes after it has the whole answer is served, not gone', async () => {
  const client = dial(gateway.port);
  client.write(requestBytes('POST /v1/chat/completions', bodies['whole answer']));
  await client.until('"total_tokens":15');
  client.leave();
  expect(await gateway.accessed(1)).toMatchObject([{ status: 200, outcome: 'completed' }]);
});

test('nothing is in flight when all have left', async () => {
  backend.on('/v1/x', play.hang());
  const clients = Array.from({ length: 20 }, () => dial(gateway.port));
  for (const client of clients) client.write(requestBytes('GET /v1/x'));
  await backend.arrived(20);
  expect(await gateway.metricsText()).toContain('llmproxy_in_flight_requests 20');
  for (const client of clients) client.leave();
  await gateway.accessed(20);
  expect(await gateway.metricsText()).toContain('llmproxy_in_flight_requests 0');
  expect(gateway.events).toHaveLength(20);
});

const drained = [
  ['before its head', play.hang(), /^HTTP\/1\.1 503 /],
  ['in mid-stream', play.stream(['data: 1\n\n', createGate()]), /"code":"draining"/],
] as const;

test.each(drained)(
  'at the end of a drain a request %s is told, and cancelled at the backend',
  async (_, playing, told) => {
    backend.enqueue(playing);
    using client = dial(gateway.port);
    client.write(requestBytes('POST /v1/chat/completions', bodies.stream));
    const [seen] = await backend.arrived(1);
    if (playing.kind === 'http') await client.until('data: 1\n\n');
    await gateway.drain(1);
    await seen?.aborted;
    await client.closed;
    expect(client.received).toMatch(told);
    expect(client.received).not.toContain('\r\n0\r\n\r\n');
    expect(await gateway.accessed(1)).toMatchObject([{ error: 'draining' }]);
  },
);

test('at the end of a drain a request whose body is still to come is told too', async () => {
  using client = dial(gateway.port);
  client.write(
    'POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n',
  );
  await client.until('100 Continue\r\n\r\n');
  await gateway.drain(1);
  await client.closed;
  expect(client.received).toMatch(/\r\n\r\nHTTP\/1\.1 503 .*"code":"draining"/s);
});

test('while draining, answers still go out whole and connections are not kept', async () => {
  const gate = createGate();
  backend.enqueue(play.stream(['data: 1\n\n', gate, 'data: [DONE]\n\n']));
  using client = dial(gateway.port);
  client.write(requestBytes('POST /v1/chat/completions', bodies.stream));
  await client.until('data: 1\n\n');
  const drain = gateway.drain(60_000);
  gate.open();
  await client.until('data: [DONE]\n\n');
  await client.until('0\r\n\r\n');
  await drain;
  expect(await client.closed).toBe('end');
  expect(await gateway.accessed(1)).toMatchObject([{ outcome: 'completed' }]);
});
