import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { Agent, request } from 'undici';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import {
  anthropic,
  createGate,
  openai,
  play,
  startFakeBackend,
  transcript,
  type FakeBackend,
} from './index.ts';

let backend: FakeBackend;
const client = new Agent();
beforeEach(async () => {
  backend = await startFakeBackend();
});
afterEach(() => backend.close());
afterAll(() => client.destroy());

const post = (path: string, body: unknown) =>
  request(backend.url + path, { method: 'POST', body: JSON.stringify(body), dispatcher: client });

/** All bytes of an answer. */
const onTheWire = (): Promise<Buffer> => {
  const socket = connect(backend.port, '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  return buffer(socket);
};

/** The chunks of a body with `transfer-encoding: chunked`, less the last, empty one. */
const chunksOf = (bytes: Buffer): Buffer[] => {
  const pieces: Buffer[] = [];
  let at = bytes.indexOf('\r\n\r\n') + 4;
  for (;;) {
    const line = bytes.indexOf('\r\n', at);
    const length = parseInt(bytes.toString('latin1', at, line), 16);
    if (!(length > 0)) return pieces;
    pieces.push(bytes.subarray(line + 2, line + 2 + length));
    at = line + 2 + length + 2;
  }
};

/** The JSON of each `data:` frame. */
const framesOf = (stream: string): unknown[] =>
  stream
    .split('\n\n')
    .map((frame) => /^data: (.*)$/m.exec(frame)?.[1] ?? '')
    .filter((data) => data !== '' && data !== '[DONE]')
    .map((data) => JSON.parse(data) as unknown);

test('a request is remembered as it stood on the wire', async () => {
  backend.enqueue(play.json({ ok: true }));
  const answer = await request(`${backend.url}/v1/x?q=1&q=2`, {
    method: 'PUT',
    headers: ['X-Mixed-Case', 'a', 'x-mixed-case', 'b'],
    body: 'body',
    dispatcher: client,
  });
  expect(await answer.body.json()).toEqual({ ok: true });
  const recorded = backend.requests[0];
  expect(recorded).toMatchObject({ method: 'PUT', target: '/v1/x?q=1&q=2' });
  expect(recorded?.body.toString()).toBe('body');
  expect(recorded?.rawHeaders.join()).toContain('X-Mixed-Case,a,x-mixed-case,b');
  expect(recorded?.header('x-mixed-case')).toBe('a');
  await recorded?.answered;
});

test('status and raw headers are sent as the test wrote them', async () => {
  backend.enqueue(play.json([], { status: 418, headers: ['X-Twice', '1', 'X-Twice', '2'] }));
  const bytes = (await onTheWire()).toString();
  expect(bytes).toMatch(/^HTTP\/1\.1 418 /);
  expect(bytes).toContain('\r\nX-Twice: 1\r\nX-Twice: 2\r\n');
});

test('a queue of plays comes first, then the path, then 501', async () => {
  backend.on('/mine', () => play.bytes('by path'));
  backend.enqueue(play.bytes('queued'));
  expect(await (await post('/mine', {})).body.text()).toBe('queued');
  expect(await (await post('/mine?x=1', {})).body.text()).toBe('by path');
  expect((await post('/nowhere', {})).statusCode).toBe(501);
});

test('a gate holds the stream until the test opens it', async () => {
  const gate = createGate();
  backend.enqueue(play.stream([play.frame({ n: 1 }), gate, play.frame({ n: 2 })]));
  const { body } = await post('/any', {});
  const pieces: string[] = [];
  for await (const piece of body) {
    pieces.push(String(piece));
    gate.open();
  }
  expect(pieces).toEqual(['data: {"n":1}\n\n', 'data: {"n":2}\n\n']);
});

test('a client that leaves is told to the test, also while the backend hangs', async () => {
  for (const [at, hanging] of [play.hang(), play.stream(['data: 1\n\n'], { ending: 'hang' })].entries()) {
    backend.enqueue(hanging);
    const leave = new AbortController();
    const answer = request(backend.url, { signal: leave.signal, dispatcher: client }).then((got) =>
      got.body.text(),
    );
    const recorded = (await backend.arrived(at + 1))[at];
    expect(backend.openRequests).toBe(1);
    leave.abort();
    await expect(answer).rejects.toThrow();
    await recorded?.aborted;
    expect(backend.openRequests).toBe(0);
  }
});

test.each([
  ['a reset before the head', play.reset(), /ECONNRESET|other side closed/],
  ['a reset after the head', play.stream([], { ending: 'reset' }), /ECONNRESET|terminated|other side closed/],
  [
    'a reset in mid-stream',
    play.stream(['data: 1\n\n'], { ending: 'reset' }),
    /ECONNRESET|terminated|other side closed/,
  ],
  [
    'a stream cut without its end',
    play.stream(['data: 1\n\n'], { ending: 'cut' }),
    /terminated|other side closed/,
  ],
  ['what is no HTTP', play.raw(['SSH-2.0-OpenSSH_9.2\r\n\r\n']), /HTTP|Parse/i],
])('%s fails the request of the client', async (_, failing, message) => {
  backend.enqueue(failing);
  await expect(post('/any', {}).then((got) => got.body.text())).rejects.toThrow(message);
});

test('a compressed body says so and unpacks to the same bytes', async () => {
  for (const plain of [play.json({ a: 'ä' }), play.stream(['data: 1\n\n', 'data: 2\n\n'])]) {
    backend.enqueue(play.gzipped(plain));
    const { headers, body } = await post('/any', {});
    expect(headers['content-encoding']).toBe('gzip');
    const expected = plain.headers.includes('application/json') ? '{"a":"ä"}' : 'data: 1\n\ndata: 2\n\n';
    expect(gunzipSync(await body.bytes()).toString()).toBe(expected);
  }
});

test('the test chooses where the network cuts the body, and the bytes stay the same', async () => {
  const whole = transcript('odd-framing');
  for (const [chosen, sizes] of [
    [play.cutAt(play.stream([whole]), [1, 2, 500]), [1, 1, 498, 619]],
    [play.inPieces(play.stream([whole]), 400), [400, 400, 319]],
  ] as const) {
    backend.enqueue(chosen);
    const pieces = chunksOf(await onTheWire());
    expect(pieces.map((piece) => piece.length)).toEqual(sizes);
    expect(Buffer.concat(pieces).equals(whole)).toBe(true);
  }
});

test('a huge body has the length it announces', async () => {
  backend.enqueue(play.huge(3_000_001));
  const { headers, body } = await post('/any', {});
  let length = 0;
  for await (const piece of body) length += (piece as Buffer).length;
  expect([headers['content-length'], length]).toEqual(['3000001', 3_000_001]);
});

test('a chat stream carries usage only when the request asked for it', async () => {
  const stream = async (more: object): Promise<unknown> => {
    const answer = await post('/v1/chat/completions', { model: 'm', stream: true, ...more });
    const sent = await answer.body.text();
    expect(sent.endsWith('data: [DONE]\n\n')).toBe(true);
    return framesOf(sent).at(-1);
  };
  const usage = { prompt_tokens: 9, completion_tokens: 6, total_tokens: 15 };
  expect(await stream({ stream_options: { include_usage: true } })).toMatchObject({ choices: [], usage });
  expect(await stream({})).not.toHaveProperty('usage');
});

test('each dialect answers with its usage, streamed or not', async () => {
  const toolCall = { name: 'get_weather', arguments: '{"city":"Oslo"}' };
  backend.enqueue(
    openai.chat({ toolCall }),
    openai.responses({ toolCall }),
    anthropic.messages({ toolCall }),
  );
  expect(await (await post('/v1/chat/completions', {})).body.json()).toMatchObject({
    choices: [{ message: { tool_calls: [{ function: toolCall }] }, finish_reason: 'tool_calls' }],
  });
  expect(await (await post('/v1/responses', {})).body.json()).toMatchObject({ output: [toolCall] });
  const message = (await (await post('/v1/messages', {})).body.json()) as object;
  expect(message).toMatchObject({ content: [{ input: { city: 'Oslo' } }], stop_reason: 'tool_use' });

  const responses = framesOf(await (await post('/v1/responses', { stream: true })).body.text());
  expect(responses.at(-1)).toMatchObject({
    type: 'response.completed',
    response: { usage: { input_tokens: 9, output_tokens: 6, total_tokens: 15 } },
  });
  const messages = framesOf(await (await post('/v1/messages', { stream: true })).body.text());
  expect(messages[0]).toMatchObject({ message: { usage: { input_tokens: 9 } } });
  expect(messages.at(-2)).toMatchObject({ type: 'message_delta', usage: { output_tokens: 6 } });
  expect(await (await post('/v1/completions', {})).body.json()).toMatchObject({
    usage: { total_tokens: 15 },
  });
  expect(await (await post('/v1/embeddings', { input: ['a', 'b'] })).body.json()).toMatchObject({
    data: [{ index: 0 }, { index: 1 }],
    usage: { prompt_tokens: 9 },
  });
});

test('errors are worded as their dialect does', async () => {
  backend.enqueue(openai.error(429), anthropic.error(529));
  const limited = await post('/v1/chat/completions', {});
  expect([limited.statusCode, await limited.body.json()]).toMatchObject([
    429,
    { error: { type: 'rate_limit_error' } },
  ]);
  const overloaded = await post('/v1/messages', {});
  expect([overloaded.statusCode, await overloaded.body.json()]).toMatchObject([
    529,
    { type: 'error', error: { type: 'overloaded_error' } },
  ]);
});

test.each(['openai-chat', 'openai-chat-tools', 'openai-chat-vllm', 'openai-completions'] as const)(
  'the transcript %s is a stream of JSON that ends with usage and [DONE]',
  (name) => {
    const sent = transcript(name).toString();
    expect(sent.endsWith('data: [DONE]\n\n')).toBe(true);
    expect(framesOf(sent).at(-1)).toMatchObject({
      choices: [],
      usage: { total_tokens: expect.any(Number) as number },
    });
  },
);
