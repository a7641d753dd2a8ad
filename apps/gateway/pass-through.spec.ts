/** What a client sends is what a backend gets, and the other way round, but for the headers of one hop and credentials. */
import { gunzipSync, gzipSync } from 'node:zlib';
import { Agent, request } from 'undici';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { openai, play, startFakeBackend, type FakeBackend } from '@llmproxy/fake-backend';
import { dial, requestBytes } from './spec-client.ts';
import { startSpecGateway, type SpecGateway } from './spec-gateway.ts';

let backend: FakeBackend;
let gateway: SpecGateway;
const client = new Agent();
beforeEach(async () => {
  backend = await startFakeBackend();
  gateway = await startSpecGateway({ backends: [{ name: 'one', url: backend.url }] });
});
afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
  await backend.close();
});
afterAll(() => client.destroy());

const ask = (path: string, body?: string | Buffer, headers: string[] = []) =>
  request(gateway.url + path, {
    method: body === undefined ? 'GET' : 'POST',
    headers,
    dispatcher: client,
    ...(body !== undefined && { body }),
  });
const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

/** Value of every header of this name, in their order and spelling. */
const valuesOf = (raw: readonly string[], name: string) =>
  raw.filter((_, i) => i % 2 === 1 && raw[i - 1] === name);

test('request bytes of any kind arrive unchanged', async () => {
  backend.enqueue(play.bytes('ok'));
  await (await ask('/v1/anything', everyByte)).body.text();
  expect(backend.requests[0]?.body.equals(everyByte)).toBe(true);
});

test('a JSON body is not rewritten: spacing, key order, repeated keys and long numbers stay', async () => {
  const body = '{ "z":1.0e0,\n"model" : "m", "a":12345678901234567890, "a":"\\u00e9é" }\n';
  await (await ask('/v1/chat/completions', body)).body.text();
  expect(backend.requests[0]?.body.toString()).toBe(body);
});

test('path and query arrive as they were written', async () => {
  backend.enqueue(play.bytes('ok'));
  await (await ask('/v1/files/a%2Fb%20c;v=1?b=2&a=%41&a=&&x=%')).body.text();
  expect(backend.requests[0]?.target).toBe('/v1/files/a%2Fb%20c;v=1?b=2&a=%41&a=&&x=%');
});

test('request headers keep their spelling, order, duplicates and bytes', async () => {
  backend.enqueue(play.bytes('ok'));
  using socket = dial(gateway.port);
  socket.write(
    requestBytes('GET /v1/x', '', [
      'X-ODD-Casing: 1',
      'x-odd-casing: 2',
      'OpenAI-Beta: a=b',
      'x-bytes: \xe9\xff',
      'x-empty:',
    ]),
  );
  await socket.until('ok');
  const raw = backend.requests[0]?.rawHeaders ?? [];
  const from = raw.indexOf('X-ODD-Casing');
  expect(raw.slice(from, from + 10)).toEqual([
    ...['X-ODD-Casing', '1', 'x-odd-casing', '2', 'OpenAI-Beta', 'a=b'],
    ...['x-bytes', '\xe9\xff', 'x-empty', ''],
  ]);
});

test('a chunked request body arrives whole', async () => {
  backend.enqueue(play.bytes('ok'));
  using socket = dial(gateway.port);
  socket.write('POST /v1/x HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n');
  socket.write('3\r\nabc\r\n4;ext=1\r\ndefg\r\n');
  socket.write('0\r\nTrailer: x\r\n\r\n');
  await socket.until('ok');
  expect(backend.requests[0]?.body.toString()).toBe('abcdefg');
  expect(backend.requests[0]?.header('content-length')).toBe('7');
});

test('a POST without a body says so to the backend', async () => {
  backend.enqueue(play.bytes('ok'));
  using socket = dial(gateway.port);
  socket.write(requestBytes('POST /v1/x'));
  await socket.until('ok');
  expect(backend.requests[0]?.header('content-length')).toBe('0');
});

test('the path of a backend URL comes before the path of the request', async () => {
  await using prefixed = await startSpecGateway({ backends: [{ url: `${backend.url}/deep/er/v1/` }] });
  backend.enqueue(play.bytes('ok'));
  await (await request(`${prefixed.url}/v1/x?q=1`, { dispatcher: client })).body.text();
  expect(backend.requests[0]?.target).toBe('/deep/er/v1/x?q=1');
});

test('status, reason, header spelling and duplicates, and body bytes of an answer arrive unchanged', async () => {
  backend.enqueue(
    play.raw([
      'HTTP/1.1 207 All Sorts\r\nX-ODD: 1\r\nx-odd: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n',
      Buffer.from(
        'x-bytes: \xe9\xff\r\nContent-Type: application/octet-stream\r\nContent-Length: 256\r\n\r\n',
        'latin1',
      ),
      everyByte,
    ]),
  );
  using socket = dial(gateway.port);
  socket.write(requestBytes('GET /v1/x', '', ['Connection: close']));
  await socket.closed;
  const [head = '', body = ''] = socket.received.split(/\r\n\r\n(.*)/s);
  expect(head).toMatch(
    /^HTTP\/1\.1 207 All Sorts\r\nX-ODD: 1\r\nx-odd: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n/,
  );
  expect(head).toContain('\r\nx-bytes: \xe9\xff\r\n');
  expect(head.match(/content-length: 256/gi)).toHaveLength(1);
  expect(body).toBe(everyByte.toString('latin1'));
});

test.each([
  ['UTF-8', Buffer.from('Größe'), 'Gr\xc3\xb6\xc3\x9fe'],
  ['none at all', Buffer.from(''), '[^\r\n]*'],
  ['latin1', Buffer.from('caf\xe9', 'latin1'), '[^\r\n]*'],
  ['control characters', Buffer.from('O\x01K'), '[^\r\n]*'],
])('an answer goes through with a reason phrase of %s', async (_, reason, seen) => {
  backend.enqueue(
    play.raw([
      Buffer.concat([Buffer.from('HTTP/1.1 200 '), reason, Buffer.from('\r\ncontent-length: 2\r\n\r\nok')]),
    ]),
  );
  using socket = dial(gateway.port);
  socket.write(requestBytes('GET /v1/x'));
  await socket.until('\r\n\r\nok');
  expect(socket.received).toMatch(new RegExp(`^HTTP/1\\.1 200 ${seen}\r\n`));
});

test.each([400, 404, 413, 429, 500, 503])('an error %i of the backend passes untouched', async (status) => {
  const body = '{"error": {"message" : "of the backend", "code":7}}';
  backend.enqueue(play.bytes(body, 'application/problem+json', { status, headers: ['Retry-After', '7'] }));
  const answer = await ask('/v1/chat/completions', '{"model":"m"}');
  expect(answer.statusCode).toBe(status);
  expect(answer.headers).toMatchObject({ 'content-type': 'application/problem+json', 'retry-after': '7' });
  expect(await answer.body.text()).toBe(body);
});

test('a compressed answer keeps its bytes and its Content-Encoding, and is metered', async () => {
  const plain = JSON.stringify({ usage: { prompt_tokens: 5, completion_tokens: 6, total_tokens: 11 } });
  const packed = gzipSync(plain, { level: 1 });
  backend.enqueue(play.bytes(packed, 'application/json', { headers: ['Content-Encoding', 'gzip'] }));
  const answer = await ask('/v1/chat/completions', '{"model":"m"}', ['accept-encoding', 'gzip']);
  expect(answer.headers).toMatchObject({
    'content-encoding': 'gzip',
    'content-length': String(packed.length),
  });
  expect(Buffer.from(await answer.body.arrayBuffer()).equals(packed)).toBe(true);
  await gateway.accessed(1);
  expect(gateway.events[0]?.usage).toEqual({ prompt_tokens: 5, completion_tokens: 6, total_tokens: 11 });
  expect(backend.requests[0]?.header('accept-encoding')).toBe('gzip');
});

test('a compressed stream that is cut off has its usage so far counted', async () => {
  const frames = [
    play.frame({ type: 'message_start', message: { usage: { input_tokens: 9, output_tokens: 1 } } }),
    play.frame({ type: 'message_delta', usage: { output_tokens: 4 } }),
  ];
  backend.enqueue({ ...play.gzipped(play.stream(frames)), ending: 'reset' });
  using socket = dial(gateway.port);
  socket.write(requestBytes('POST /v1/messages', '{"model":"m"}'));
  await gateway.accessed(1);
  expect(gateway.events[0]).toMatchObject({
    outcome: 'truncated',
    usage: { prompt_tokens: 9, completion_tokens: 4 },
  });
});

test('a body that is not what its Content-Encoding says goes through unread', async () => {
  backend.enqueue(play.bytes('plain', 'application/json', { headers: ['content-encoding', 'gzip'] }));
  using socket = dial(gateway.port);
  socket.write(requestBytes('POST /v1/chat/completions', '{"model":"m"}'));
  await socket.until('\r\n\r\nplain');
  const [entry] = await gateway.accessed(1);
  expect(entry).toMatchObject({ outcome: 'completed', prompt_tokens: null });
});

test('a compressed stream reaches the client as the backend compressed it', async () => {
  backend.enqueue(play.gzipped(play.stream(['data: 1\n\n', 'data: 2\n\n'])));
  const answer = await ask('/v1/other', '{}');
  const bytes = Buffer.from(await answer.body.arrayBuffer());
  expect(gunzipSync(bytes).toString()).toBe('data: 1\n\ndata: 2\n\n');
});

test('HEAD gets the head of the answer and no body, and the connection goes on', async () => {
  backend.enqueue(
    { ...play.stream([]), headers: ['Content-Length', '1234', 'ETag', '"x"'] },
    play.bytes('next'),
  );
  using socket = dial(gateway.port);
  socket.write(requestBytes('HEAD /v1/files/1'));
  const head = await socket.until('\r\n\r\n');
  expect(head).toContain('ETag: "x"\r\n');
  expect(head).toMatch(/content-length: 1234/i);
  socket.write(requestBytes('GET /v1/x'));
  await socket.until('\r\n\r\nnext');
});

test.each([204, 304])('an answer %i has no body, and the connection goes on', async (status) => {
  backend.enqueue({ ...play.stream([]), status, headers: ['ETag', '"x"'] }, play.bytes('next'));
  using socket = dial(gateway.port);
  socket.write(requestBytes('GET /v1/x'));
  const head = await socket.until('\r\n\r\n');
  expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} .*\r\nETag: "x"\r\n`));
  expect(head).not.toMatch(/transfer-encoding|content-length/i);
  socket.write(requestBytes('GET /v1/x'));
  await socket.until('\r\n\r\nnext');
});

test('informational answers of the backend come before the real one and do not replace it', async () => {
  backend.enqueue(
    play.raw([
      'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n',
      'HTTP/1.1 102 Processing\r\n\r\n',
      'HTTP/1.1 201 Made\r\nContent-Length: 4\r\nX-Real: yes\r\n\r\ndone',
    ]),
  );
  const answer = await ask('/v1/x', '{}');
  expect([answer.statusCode, answer.headers['x-real'], await answer.body.text()]).toEqual([
    201,
    'yes',
    'done',
  ]);
});

test('an answer without a length, ended by closing the connection, arrives whole', async () => {
  backend.enqueue(play.raw(['HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n', 'one', 'two']));
  expect(await (await ask('/v1/x')).body.text()).toBe('onetwo');
  expect((await gateway.accessed(1))[0]?.outcome).toBe('completed');
});

test('credentials and identity of the client stay at the gateway, and those of the backend too', async () => {
  await using own = await startSpecGateway({
    backends: [{ url: backend.url, api_key: 'backend-credential', headers: { 'x-team': 'ours' } }],
  });
  backend.enqueue(
    play.bytes('ok', 'text/plain', { headers: ['Authorization', 'echo', 'X-Api-Key', 'echo', 'x-ok', '1'] }),
  );
  const answer = await request(`${own.url}/v1/x?key=canary&a=1&API%5FKEY=canary`, {
    dispatcher: client,
    headers: {
      authorization: 'Bearer canary',
      'x-api-key': 'canary',
      cookie: 'canary',
      'x-forwarded-for': 'canary',
      'X-Team': 'canary',
      'x-goog-api-key': 'canary',
    },
  });
  await answer.body.text();
  const seen = backend.requests[0];
  expect(JSON.stringify([seen?.target, seen?.rawHeaders])).not.toContain('canary');
  expect(seen?.target).toBe('/v1/x?a=1');
  expect(seen?.header('authorization')).toBe('Bearer backend-credential');
  expect(valuesOf(seen?.rawHeaders ?? [], 'x-team')).toEqual(['ours']);
  expect(Object.keys(answer.headers)).not.toEqual(expect.arrayContaining(['authorization']));
  expect(answer.headers).toMatchObject({ 'x-ok': '1' });
  expect(JSON.stringify(answer.headers)).not.toContain('echo');
});

test('a credential of a header of its own is sent to the backend, and not shown when it sends it back', async () => {
  await using own = await startSpecGateway({
    backends: [{ url: backend.url, auth: { type: 'header', header: 'X-Special', value: 'canary' } }],
  });
  backend.enqueue(play.bytes('ok', 'text/plain', { headers: ['X-SPECIAL', 'canary', 'x-ok', '1'] }));
  const answer = await request(`${own.url}/v1/x`, { headers: ['x-special', 'theirs'], dispatcher: client });
  expect(await answer.body.text()).toBe('ok');
  expect(valuesOf(backend.requests[0]?.rawHeaders ?? [], 'x-special')).toEqual(['canary']);
  expect(JSON.stringify(answer.headers)).not.toContain('canary');
  expect(answer.headers['x-ok']).toBe('1');
});

test('x-request-id is the same at the client, at the backend and in the event', async () => {
  const answer = await ask('/v1/chat/completions', '{}', ['x-request-id', 'my-id.1']);
  await answer.body.text();
  await gateway.accessed(1);
  expect(answer.headers['x-request-id']).toBe('my-id.1');
  expect(backend.requests[0]?.header('x-request-id')).toBe('my-id.1');
  expect(gateway.events[0]?.request_id).toBe('my-id.1');
});

test('the usage chunk that the gateway asked for is metered and hidden from the client', async () => {
  const body = '{"model":"m","stream":true}';
  const answer = await ask('/v1/chat/completions', body);
  const stream = await answer.body.text();
  await gateway.accessed(1);
  expect(backend.requests[0]?.json()).toMatchObject({ stream_options: { include_usage: true } });
  expect(stream).not.toContain('usage');
  expect(stream).toMatch(/\n\ndata: \[DONE\]\n\n$/);
  expect(gateway.events[0]?.usage).toEqual({ prompt_tokens: 9, completion_tokens: 6, total_tokens: 15 });
});

test('a client that asks for usage itself gets the chunk, and its body is left alone', async () => {
  const body = '{"model":"m","stream":true,"stream_options":{"include_usage":true}}';
  const stream = await (await ask('/v1/chat/completions', body)).body.text();
  await gateway.accessed(1);
  expect(backend.requests[0]?.body.toString()).toBe(body);
  expect(stream).toContain('"usage":{"prompt_tokens":9');
  expect(gateway.events[0]?.usage?.total_tokens).toBe(15);
});

test('a client that asks not to be told usage is not told, and is metered all the same', async () => {
  const body = '{"model":"m","stream":true,"stream_options":{"include_usage":false}}';
  const stream = await (await ask('/v1/chat/completions', body)).body.text();
  await gateway.accessed(1);
  expect(stream).not.toContain('"usage"');
  expect(gateway.events[0]?.usage?.total_tokens).toBe(15);
});

test('with include_usage off the body is left alone and the usage stays unknown', async () => {
  await using plain = await startSpecGateway({ backends: [{ url: backend.url, include_usage: false }] });
  const body = '{"model":"m","stream":true}';
  backend.on('/v1/chat/completions', openai.chat());
  await (
    await request(`${plain.url}/v1/chat/completions`, { method: 'POST', body, dispatcher: client })
  ).body.text();
  await plain.accessed(1);
  expect(backend.requests[0]?.body.toString()).toBe(body);
  expect(plain.events[0]).toMatchObject({ usage: null, usage_source: 'none', outcome: 'completed' });
});
