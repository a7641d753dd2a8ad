/** Bytes pass when they come, both sides can slow the other down, and what breaks off never looks complete. */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createGate, play, startFakeBackend, type FakeBackend, type Step } from '@llmproxy/fake-backend';
import { dechunked, dial, requestBytes } from './spec-client.ts';
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

const chat = (more: object = {}) =>
  requestBytes('POST /v1/chat/completions', JSON.stringify({ model: 'm', stream: true, ...more }));
const delta = (content: string) => play.frame({ choices: [{ index: 0, delta: { content } }] });
const usageFrame = play.frame({
  choices: [],
  usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
});

/** Waits until a number has stopped changing: both ends live in this process, so its event loop then has nothing to do. */
async function settled(value: () => number): Promise<number> {
  for (let quiet = 0, last = value(); quiet < 500; quiet = last === value() ? quiet + 1 : 0) {
    last = value();
    await nextTurn();
  }
  return value();
}

test('the head of a stream is with the client before the first token', async () => {
  const gate = createGate();
  backend.enqueue(play.stream([gate, delta('a')]));
  using client = dial(gateway.port);
  client.write(chat());
  const head = await client.until('\r\n\r\n');
  expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\ncontent-type: text\/event-stream/);
  gate.open();
  await client.until('"a"');
});

test.each([
  ['whose usage chunk is hidden', {}],
  ['whose client asked for usage', { stream_options: { include_usage: true } }],
])('each chunk of a stream %s is with the client before the backend sends the next', async (_, more) => {
  const texts = ['a', 'b', 'c', 'd'];
  const gates = texts.map(() => createGate());
  backend.enqueue(play.stream(texts.flatMap((text, i): Step[] => [delta(text), gates[i] as Step])));
  using client = dial(gateway.port);
  client.write(chat(more));
  for (const [i, text] of texts.entries()) {
    await client.until(`"${text}"`);
    gates[i]?.open();
  }
  await client.until('0\r\n\r\n');
});

test('each chunk of a body that is no event stream is with the client before the next', async () => {
  const gate = createGate();
  backend.enqueue({
    ...play.stream(['{"n":1}\n', gate, '{"n":2}\n']),
    headers: ['content-type', 'application/x-ndjson'],
  });
  using client = dial(gateway.port);
  client.write(chat());
  await client.until('{"n":1}');
  gate.open();
  await client.until('{"n":2}');
});

test('a client that does not read stops the backend, and gets every byte once it reads', async () => {
  const bytes = 96 * 1024 * 1024;
  const piece = Buffer.alloc(64 * 1024, 'x');
  let sent = 0;
  async function* counted() {
    for (; sent < bytes; sent += piece.length) yield await Promise.resolve(piece);
  }
  backend.enqueue({ ...play.stream(counted()), headers: ['content-length', String(bytes)] });
  using client = dial(gateway.port);
  client.write(requestBytes('GET /v1/x'));
  await client.until('\r\n\r\n');
  client.socket.pause();
  expect(await settled(() => sent)).toBeLessThan(bytes / 3);
  let received = Buffer.byteLength(client.received.split('\r\n\r\n')[1] ?? '');
  client.socket.removeAllListeners('data').on('data', (chunk: Buffer) => (received += chunk.length));
  client.socket.resume();
  await gateway.accessed(1);
  await settled(() => received);
  expect(received).toBe(bytes);
});

test('a client slower than many small events leaves no listeners behind and loses none of them', async () => {
  const warnings: Error[] = [];
  const warned = (warning: Error) => void warnings.push(warning);
  process.on('warning', warned);
  const events = Array.from({ length: 40_000 }, (_, i) => `data: {"n":${i}}\n\n`);
  const packed = Buffer.from(events.map((event) => `${event.length.toString(16)}\r\n${event}\r\n`).join(''));
  backend.enqueue(
    play.raw([
      'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n',
      packed,
      '0\r\n\r\n',
    ]),
  );
  using client = dial(gateway.port);
  client.socket.pause();
  client.write(requestBytes('POST /v1/other', '{}'));
  await backend.arrived(1);
  await settled(() => client.socket.bytesRead);
  client.socket.resume();
  await client.until('{"n":39999}');
  await client.until('0\r\n\r\n');
  process.off('warning', warned);
  const numbers = [...dechunked(client.received).matchAll(/\{"n":(\d+)\}/g)].map(([, n]) => Number(n));
  expect(numbers).toEqual(events.map((_, n) => n));
  expect(warnings).toEqual([]);
});

test('a backend that reads its request slowly gets all of it', async () => {
  const received = Promise.withResolvers<number>();
  const sockets: Socket[] = [];
  const slow = createServer((socket) => {
    sockets.push(socket);
    let bytes = 0;
    socket.pause();
    socket.on('data', (chunk) => {
      bytes += chunk.length;
      socket.pause();
      setImmediate(() => socket.resume());
      if (chunk.at(-1) !== 0x7a) return; // `z` ends the body
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
      received.resolve(bytes);
    });
    setImmediate(() => socket.resume());
  }).listen(0, '127.0.0.1');
  await once(slow, 'listening');
  const url = `http://127.0.0.1:${(slow.address() as AddressInfo).port}`;
  await using own = await startSpecGateway({ backends: [{ url }] });
  using client = dial(own.port);
  const body = `${'y'.repeat(9 * 1024 * 1024)}z`;
  client.write(requestBytes('POST /v1/files', body));
  await client.until('\r\n\r\nok');
  expect(await received.promise).toBeGreaterThan(body.length);
  slow.close();
});

test.each([
  ['reset', /could|broke off/],
  ['cut', /broke off/],
] as const)(
  'a stream that the backend ends by a %s is told in band and has no clean end',
  async (ending, message) => {
    backend.enqueue(play.stream([delta('a'), usageFrame, delta('b')], { ending }));
    using client = dial(gateway.port);
    client.write(chat());
    expect(await client.closed).toBe('end');
    const last = client.received.split('data: ').at(-1) ?? '';
    expect(JSON.parse(last.slice(0, last.indexOf('\n')))).toEqual({
      error: {
        message: expect.stringMatching(message) as string,
        type: 'upstream_error',
        param: null,
        code: 'backend_unreachable',
      },
    });
    expect(client.received).not.toContain('[DONE]');
    expect(client.received).not.toContain('\r\n0\r\n\r\n');
    const [entry] = await gateway.accessed(1);
    expect(entry).toMatchObject({ status: 200, outcome: 'truncated', error: 'backend_unreachable' });
    expect(gateway.events).toMatchObject([
      { outcome: 'truncated', status_code: 200, usage: { total_tokens: 5 }, usage_source: 'backend' },
    ]);
  },
);

test('a broken Anthropic stream is told as Anthropic clients expect it, with its usage so far counted', async () => {
  const start = { type: 'message_start', message: { usage: { input_tokens: 7, output_tokens: 1 } } };
  backend.enqueue(play.stream([`event: message_start\n${play.frame(start)}`], { ending: 'reset' }));
  using client = dial(gateway.port);
  client.write(requestBytes('POST /v1/messages', '{"model":"m","stream":true}'));
  await client.closed;
  expect(client.received).toMatch(
    /\n\n\r\n[0-9a-f]+\r\nevent: error\ndata: \{"type":"error","error":\{"type":"api_error".*\}\n\n\r\n$/s,
  );
  await gateway.accessed(1);
  expect(gateway.events).toMatchObject([
    { outcome: 'truncated', usage: { prompt_tokens: 7, completion_tokens: 1 } },
  ]);
});

test('an error event never becomes a part of the event that was broken off', async () => {
  backend.enqueue(play.stream([delta('a'), 'data: {"half":'], { ending: 'reset' }));
  using client = dial(gateway.port);
  client.write(chat({ stream_options: { include_usage: true } }));
  await client.closed;
  expect(client.received).toMatch(/data: \{"half":\r\n[0-9a-f]+\r\n\n\ndata: \{"error":/);
});

test.each([
  ['in chunks', []],
  ['with a length', ['content-length', '100']],
])(
  'a body %s that is no stream, broken off, has no clean end and nothing added to it',
  async (_, headers) => {
    const broken = play.stream(['{"half":'], { ending: 'reset' });
    backend.enqueue({ ...broken, headers: ['content-type', 'application/json', ...headers] });
    using client = dial(gateway.port);
    client.write(requestBytes('POST /v1/embeddings', '{"model":"m"}'));
    await client.closed;
    expect(client.received).toMatch(/\{"half":(?:\r\n)?$/);
    expect(await gateway.accessed(1)).toMatchObject([{ outcome: 'truncated', status: 200 }]);
  },
);

test('a stream in which the backend falls silent is told as a time-out', async () => {
  await using own = await startSpecGateway({
    backends: [{ name: 'one', url: backend.url, timeout: '50ms' }],
  });
  backend.enqueue(play.stream([delta('a')], { ending: 'hang' }));
  using client = dial(own.port);
  client.write(chat());
  await client.closed;
  expect(client.received).toContain('"code":"backend_timeout"');
  await backend.requests[0]?.aborted;
  expect(await own.accessed(1)).toMatchObject([{ outcome: 'truncated', error: 'backend_timeout' }]);
});

test('after a stream its connection serves the next request', async () => {
  using client = dial(gateway.port);
  for (let i = 0; i < 3; i++) {
    client.write(chat());
    await client.until('data: [DONE]\n\n');
    await client.until('0\r\n\r\n');
  }
  expect((await gateway.accessed(3)).map(({ outcome }) => outcome)).toEqual([
    'completed',
    'completed',
    'completed',
  ]);
});
