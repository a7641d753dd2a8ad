/** One usage event for each admitted request, one access line for each request whatever its end. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createGate, openai, play, startFakeBackend, type FakeBackend } from '@llmproxy/fake-backend';
import { keyIdOf } from '@llmproxy/auth';
import { UsageEvent } from '@llmproxy/usage-queue';
import { dial, requestBytes } from './spec-client.ts';
import { startSpecGateway, type SpecGateway } from './spec-gateway.ts';

const key = 'sk-of-the-record-spec-0123456789';
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
let backend: FakeBackend;
let gateway: SpecGateway;
const keys = [
  { key, user_id: 'u "1"' },
  { key: 'sk-off-0123456789', user_id: 'off', status: 'disabled' },
];
const auth = { auth: { pipeline: [{ name: 'list', type: 'static', static: { keys } }] } };
beforeEach(async () => {
  backend = await startFakeBackend();
  gateway = await startSpecGateway({ backends: [{ name: 'one', url: backend.url }], settings: auth });
});
afterEach(async () => {
  await gateway[Symbol.asyncDispose]();
  await backend.close();
});

const closing = ['Connection: close'];
const post = (path: string, body: string, more: readonly string[] = []) =>
  requestBytes(`POST ${path}`, body, ['Connection: close', `Authorization: Bearer ${key}`, ...more]);
/** Sends a request that closes its connection, and waits for that. */
async function exchange(bytes: Buffer, port = gateway.port): Promise<string> {
  using client = dial(port);
  client.write(bytes);
  await client.closed;
  return client.received;
}

test('a completed request has one event with all that is known of it', async () => {
  backend.on('/v1/chat/completions', openai.chat({ promptTokens: 11, completionTokens: 7, cachedTokens: 4 }));
  await exchange(post('/v1/chat/completions?x=1', '{"model":"gpt-x","stream":true}', ['x-request-id: r-1']));
  const [event] = gateway.events;
  expect(gateway.events).toHaveLength(1);
  expect(UsageEvent.parse(event)).toEqual({
    event_id: expect.stringMatching(uuid) as string,
    request_id: 'r-1',
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string,
    key_id: keyIdOf(key),
    api_key: 'sk-o***6789',
    user_id: 'u "1"',
    model: 'gpt-x',
    method: 'POST',
    path: '/v1/chat/completions',
    endpoint: 'chat.completions',
    is_stream: true,
    backend: 'one',
    backend_url: backend.url,
    status_code: 200,
    outcome: 'completed',
    latency_ms: expect.any(Number) as number,
    ttft_ms: expect.any(Number) as number,
    usage: { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18, cached_tokens: 4 },
    usage_source: 'backend',
  });
  expect(event?.ttft_ms).toBeLessThanOrEqual(event?.latency_ms ?? 0);
});

test.each([
  ['/v1/chat/completions', 'chat.completions'],
  ['/v1/completions', 'completions'],
  ['/v1/embeddings', 'embeddings'],
  ['/v1/responses', 'responses'],
  ['/v1/messages', 'messages'],
])('usage of %s is metered, streamed or not, and named %s', async (path, endpoint) => {
  for (const stream of [false, ...(endpoint === 'embeddings' ? [] : [true])]) {
    await exchange(post(path, JSON.stringify({ model: 'm', stream, input: ['x'] })));
    expect(gateway.events.at(-1)).toMatchObject({ endpoint, is_stream: stream, usage: { prompt_tokens: 9 } });
  }
});

test('other paths have events too, without a model', async () => {
  backend.on('/v1/files', play.bytes('ok'));
  await exchange(post('/v1/files', 'not json'));
  expect(gateway.events).toMatchObject([
    { endpoint: 'other', model: null, usage: null, usage_source: 'none' },
  ]);
});

test('the ids of events differ, also when clients repeat a request id', async () => {
  for (let i = 0; i < 3; i++) await exchange(post('/v1/embeddings', '{"model":"m"}', ['x-request-id: same']));
  expect(new Set(gateway.events.map(({ event_id }) => event_id)).size).toBe(3);
});

test.each([
  ['completed', 200, openai.chat(), undefined],
  ['completed', 404, openai.error(404), undefined],
  ['backend_error', 500, openai.error(500), undefined],
  ['backend_error', 502, play.reset(), 'backend_unreachable'],
  ['truncated', 200, play.stream(['data: 1\n\n'], { ending: 'reset' }), 'backend_unreachable'],
] as const)(
  'the outcome %s with status %i is in the event, the access line and the metrics',
  async (outcome, status, playing, error) => {
    backend.on('/v1/chat/completions', playing);
    await exchange(post('/v1/chat/completions', '{"model":"m"}'));
    expect(gateway.events).toMatchObject([{ outcome, status_code: status }]);
    const [entry] = await gateway.accessed(1);
    expect(entry).toMatchObject({ outcome, status, error: error ?? null, backend: 'one', user_id: 'u "1"' });
    const metrics = await gateway.metricsText();
    expect(metrics).toContain(`llmproxy_outcomes_total{outcome="${outcome}"} 1`);
    expect(metrics).toContain(
      `llmproxy_requests_total{path="/v1/chat/completions",stream="false",backend="${backend.url}",status="${status}"} 1`,
    );
  },
);

test('a client that leaves is recorded as 499 when there was no status yet', async () => {
  backend.on('/v1/chat/completions', play.hang());
  using client = dial(gateway.port);
  client.write(post('/v1/chat/completions', '{"model":"m"}'));
  await backend.arrived(1);
  client.leave();
  expect(await gateway.accessed(1)).toMatchObject([
    { status: 499, outcome: 'client_closed', error: 'client_closed' },
  ]);
  expect(gateway.events).toMatchObject([{ status_code: 499, outcome: 'client_closed', user_id: 'u "1"' }]);
});

test.each([
  ['an unknown path', requestBytes('GET /nowhere?key=canary', '', closing), 404, 'unknown_route'],
  ['a wrong method', requestBytes('GET /v1/chat/completions', '', closing), 405, 'method_not_allowed'],
  ['no key', requestBytes('POST /v1/chat/completions', '{}', closing), 401, 'invalid_api_key'],
  [
    'an unknown key',
    requestBytes('POST /v1/messages', '{}', [...closing, 'x-api-key: canary']),
    401,
    'invalid_api_key',
  ],
  ['a body that is no JSON', post('/v1/chat/completions', 'no'), 400, 'invalid_json'],
])('a request refused for %s has an access line and no event', async (_, bytes, status, error) => {
  await exchange(bytes);
  const [entry] = await gateway.accessed(1);
  expect(entry).toMatchObject({
    status,
    error,
    outcome: 'refused',
    backend: null,
    model: null,
    key_id: null,
  });
  expect(entry?.bytes).toBeGreaterThan(0);
  expect(gateway.events).toEqual([]);
  expect(gateway.accessLines.join()).not.toContain('canary');
  expect(await gateway.metricsText()).toContain(`llmproxy_errors_total{code="${error}",blame="client"} 1`);
});

test('an access line is one JSON object that tells what the event tells', async () => {
  await exchange(
    post('/v1/chat/completions?key=canary', '{"model":"m","stream":true}', ['x-request-id: r-9']),
  );
  const [entry] = await gateway.accessed(1);
  expect(entry).toEqual({
    ...{
      level: 'info',
      app: 'gateway',
      msg: 'request',
      request_id: 'r-9',
      client_ip: '127.0.0.1',
      method: 'POST',
    },
    ...{
      time: gateway.events[0]?.timestamp,
      path: '/v1/chat/completions',
      status: 200,
      outcome: 'completed',
    },
    ...{ error: null, latency_ms: gateway.events[0]?.latency_ms, ttft_ms: gateway.events[0]?.ttft_ms },
    ...{
      bytes: expect.any(Number) as number,
      backend: 'one',
      backend_url: backend.url,
      model: 'm',
      is_stream: true,
    },
    ...{
      key_id: keyIdOf(key),
      api_key: 'sk-o***6789',
      user_id: 'u "1"',
      shadow_refused: null,
      prompt_tokens: 9,
      completion_tokens: 6,
    },
  });
  expect(gateway.accessLines.join()).not.toContain(key);
  expect(gateway.accessLines.join()).not.toContain('canary');
});

test('bytes of an access line are those of the body the client was given', async () => {
  backend.on('/v1/x', play.bytes('12345'));
  await exchange(post('/v1/x', ''));
  expect(await gateway.accessed(1)).toMatchObject([{ bytes: 5 }]);
});

test('time to the first token is that of the first body byte, not of the head', async () => {
  const gate = createGate();
  backend.on('/v1/chat/completions', play.stream([gate, 'data: 1\n\n']));
  using client = dial(gateway.port);
  client.write(post('/v1/chat/completions', '{"model":"m","stream":true}'));
  await client.until('\r\n\r\n');
  const headSeenMs = performance.now();
  gate.open();
  await client.until('0\r\n\r\n');
  await gateway.accessed(1);
  const { ttft_ms: ttftMs, latency_ms: latencyMs } = gateway.events[0] ?? {};
  expect(ttftMs).toBeGreaterThan(0);
  expect(latencyMs).toBeGreaterThanOrEqual(ttftMs ?? Infinity);
  expect(await gateway.metricsText()).toMatch(/llmproxy_ttft_seconds_count\{.*\} 1/);
  expect(headSeenMs).toBeGreaterThan(0);
});

const hostile = 'm" 200\n127.0.0.1 - admin [x] "POST /" \u0000\u001b[2J\\';

test('an access line in text cannot be forged by a model, a path or a user', async () => {
  await using text = await startSpecGateway({
    backends: [{ name: 'one', url: backend.url }],
    settings: auth,
    accessFormat: 'combined',
  });
  await exchange(post('/v1/chat/completions', JSON.stringify({ model: hostile })), text.port);
  await exchange(requestBytes('GET /"%22%0a\\x"?key=canary', '', closing), text.port);
  expect(text.accessLines).toHaveLength(2);
  for (const line of text.accessLines) {
    expect(line.endsWith('\n')).toBe(true);
    expect(line.slice(0, -1)).not.toMatch(/[\x00-\x1f]/);
    expect(line).not.toContain('canary');
    const quotes = line.replace(/\\\\/g, '').replace(/\\"/g, '').match(/"/g) ?? [];
    expect(quotes.length % 2).toBe(0);
  }
  const day = String.raw`\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\]`;
  expect(text.accessLines[0]).toMatch(
    new RegExp(
      String.raw`^127\.0\.0\.1 - u \\"1\\" ${day} "POST /v1/chat/completions" 200 \d+ms "${backend.url}" model=m`,
    ),
  );
  expect(text.accessLines[0]).toMatch(/ stream=false\n$/);
});

test('the body of a request is in no event unless asked for', async () => {
  await exchange(post('/v1/chat/completions', '{"model":"m","messages":["canary"]}'));
  expect(gateway.events[0]).not.toHaveProperty('request_body');
  expect(JSON.stringify([gateway.events, gateway.accessLines])).not.toContain('canary');
});

const deeper = `{"model":"m","deep":${'['.repeat(20_000)}${']'.repeat(20_000)}}`;

// The config wants a reporter; events of these specs are kept before any.
const nowhere = { name: 'nowhere', type: 'webhook', webhook: { url: 'http://127.0.0.1:1' } };

test.each([
  ['{"model":"m","stream":true,"n":1}', { model: 'm', stream: true, n: 1 }],
  ['{"model":"m","deep":{"no json":}}', '{"model":"m","deep":{"no json":}}'],
])('where asked for, an event carries the body as the client sent it: %s', async (body, expected) => {
  await using asked = await startSpecGateway({
    backends: [{ url: backend.url }],
    settings: { ...auth, usage: { include_request_body: true, reporters: [nowhere] } },
  });
  await exchange(post('/v1/chat/completions', body), asked.port);
  expect(asked.events).toMatchObject([{ request_body: expected }]);
});

test('a body that is nested so deep that it could not be written again stays text', async () => {
  await using asked = await startSpecGateway({
    backends: [{ url: backend.url }],
    settings: { ...auth, usage: { include_request_body: true, reporters: [nowhere] } },
  });
  await exchange(post('/v1/chat/completions', deeper), asked.port);
  expect(asked.events.map(({ request_body }) => request_body)).toEqual([deeper]);
  expect(JSON.parse(JSON.stringify(asked.events))).toMatchObject([{ request_body: deeper }]);
});

test('a refusal after the key was known tells whose request it was', async () => {
  const headers = ['Connection: close', 'x-api-key: sk-off-0123456789'];
  await exchange(requestBytes('POST /v1/chat/completions', '{"model":"m"}', headers));
  const [entry] = await gateway.accessed(1);
  expect(entry).toMatchObject({
    status: 403,
    error: 'key_not_active',
    key_id: keyIdOf('sk-off-0123456789'),
    api_key: 'sk-o***6789',
    user_id: 'off',
  });
});

test('an outage of a source of keys is no line for each request', async () => {
  const pipeline = [{ name: 'away', type: 'webhook', webhook: { url: 'http://127.0.0.1:1/keys' } }];
  await using away = await startSpecGateway({
    backends: [{ name: 'one', url: backend.url }],
    settings: { auth: { pipeline } },
  });
  for (let request = 0; request < 3; request++)
    expect(await exchange(post('/v1/chat/completions', '{}'), away.port)).toMatch(/^HTTP\/1\.1 503 /);
  expect((await away.accessed(3)).map(({ status }) => status)).toEqual([503, 503, 503]);
  expect(away.failures).toEqual([]);
});
