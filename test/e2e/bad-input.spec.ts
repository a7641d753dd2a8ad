/**
 * What no good client sends. Each of it gets a clear error with the right status, in the dialect of the path and with a
 * request id, and the next request is served by the same processes.
 */
import { createGate, openai, startFakeBackend, type FakeBackend } from '@llmproxy/fake-backend';
import { redisForTests } from '@llmproxy/real-services';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { residentBytes } from '../bench/proc.ts';
import { startGateway, type Gateway } from './harness/gateway.ts';
import { fetchText } from './harness/http-client.ts';
import { exchange } from './harness/raw-http.ts';
import { dialects, expectRefusal, raw, withBody } from './harness/refusal.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';

const megabyte = 1024 * 1024;
const resources = new AsyncDisposableStack();
let backend: FakeBackend;
let gateway: Gateway;
let workersAtFirst: number[];

beforeAll(async () => {
  const folder = resources.use(tempFolder());
  const redis = resources.use(await redisForTests());
  backend = resources.use(await startFakeBackend());
  gateway = resources.use(
    await startGateway({
      folder: folder.path,
      redisUrl: redis.url,
      backends: [{ name: 'fake', url: backend.url }],
      config: { server: { max_body_size: '1MB', read_timeout: '1s' } },
    }),
  );
  workersAtFirst = gateway.workers();
});
afterAll(() => resources.disposeAsync());

let servedBefore: number;
beforeEach(() => {
  servedBefore = backend.requests.length;
});
afterEach(async () => {
  const body = { model: 'm', messages: [] };
  expect(await fetchText(gateway.address, '/v1/chat/completions', { body })).toMatchObject({
    status: 200,
    isComplete: true,
  });
  expect(gateway.workers()).toEqual(workersAtFirst);
});

describe.each(dialects)('in the %s dialect', (dialect, path) => {
  test.each([
    ['cut off', '{"model":"m","messages":['],
    ['an array', '[{"model":"m"}]'],
    ['a string', '"hello"'],
    ['two values', '{"model":"m"}{"model":"m"}'],
    ['a form', 'model=m&stream=true'],
    ['empty', ''],
  ])('a body that is %s is refused, and no backend sees it', async (_, body) => {
    expectRefusal(await exchange(gateway.address, withBody(path, body)), {
      dialect,
      status: 400,
      code: 'invalid_json',
    });
    expect(backend.requests).toHaveLength(servedBefore);
  });

  test('a POST without any body is refused', async () => {
    expectRefusal(await exchange(gateway.address, raw('POST', path)), {
      dialect,
      status: 400,
      code: 'invalid_json',
    });
  });

  test('two Content-Lengths are refused: someone on the way would read two requests', async () => {
    const twice = ['Content-Length: 2', 'Content-Length: 20'];
    expectRefusal(await exchange(gateway.address, raw('POST', path, twice, '{}')), {
      dialect,
      status: 400,
      code: 'invalid_request',
    });
  });

  test('Content-Length beside Transfer-Encoding is refused', async () => {
    const both = ['Content-Length: 2', 'Transfer-Encoding: chunked'];
    expectRefusal(await exchange(gateway.address, raw('POST', path, both, '2\r\n{}\r\n0\r\n\r\n')), {
      dialect,
      status: 400,
      code: 'invalid_request',
    });
  });

  test.each([
    ['one huge header', [`X-Huge: ${'x'.repeat(100_000)}`]],
    ['very many headers', Array.from({ length: 1_900 }, (_, i) => `X-${i}: ${'x'.repeat(40)}`)],
  ])('%s: refused with 431', async (_, lines) => {
    expectRefusal(await exchange(gateway.address, raw('POST', path, lines)), {
      dialect,
      status: 431,
      code: 'headers_too_large',
    });
  });

  test('a URL of 70 KB is refused with 431', async () => {
    expectRefusal(await exchange(gateway.address, raw('POST', `${path}?q=${'x'.repeat(70_000)}`)), {
      dialect,
      status: 431,
      code: 'headers_too_large',
    });
  });

  test.each(['GET', 'DELETE', 'PUT'])('%s is refused, with the right method in `allow`', async (method) => {
    const answer = await exchange(gateway.address, raw(method, path));
    expectRefusal(answer, { dialect, status: 405, code: 'method_not_allowed' });
    expect(answer.headers['allow']).toBe('POST');
  });

  test.each(['/../../admin', '/%2e%2e/%2E%2E/admin', '/..\\..\\admin'])(
    'a path that climbs by %s is refused',
    async (climb) => {
      expectRefusal(await exchange(gateway.address, withBody(`${path}${climb}`, '{}')), {
        dialect,
        status: 400,
        code: 'invalid_request',
      });
      expect(backend.requests).toHaveLength(servedBefore);
    },
  );

  test('without a key nothing more is said than that', async () => {
    const anonymous = raw('POST', path, ['Content-Length: 2'], '{}').replace(/Authorization.*\r\n/, '');
    expectRefusal(await exchange(gateway.address, anonymous), {
      dialect,
      status: 401,
      code: 'invalid_api_key',
    });
  });

  test('a body announced to be too large is refused before a byte of it is sent', async () => {
    const head = raw('POST', path, [`Content-Length: ${2 * megabyte}`]);
    expectRefusal(await exchange(gateway.address, head), { dialect, status: 413, code: 'request_too_large' });
    const expecting = raw('POST', path, [`Content-Length: ${2 * megabyte}`, 'Expect: 100-continue']);
    const answer = await exchange(gateway.address, expecting);
    expectRefusal(answer, { dialect, status: 413, code: 'request_too_large' });
    expect(answer.text).not.toContain('100 Continue');
  });

  test('a body in chunks is refused once it is too large, and is not held', async () => {
    const beforeBytes = residentBytes(gateway.tree());
    const head = raw('POST', path, ['Transfer-Encoding: chunked']);
    const answer = await exchange(gateway.address, head, { chunked: 256 * megabyte });
    expectRefusal(answer, { dialect, status: 413, code: 'request_too_large' });
    expect(residentBytes(gateway.tree()) - beforeBytes).toBeLessThan(100 * megabyte);
    expect(backend.requests).toHaveLength(servedBefore);
  });

  test('a client that never finishes its body is told so after read_timeout', async () => {
    const head = raw('POST', path, ['Content-Length: 100'], '{"model":');
    expectRefusal(await exchange(gateway.address, head), { dialect, status: 408, code: 'request_timeout' });
  });

  test('a client that never finishes its head is told so after read_timeout', async () => {
    const answer = await exchange(gateway.address, `POST ${path} HTTP/1.1\r\nHost: gateway\r\nX-Slow`);
    expect(answer.status).toBe(408);
    expect(JSON.parse(answer.body)).toMatchObject({ error: { type: 'timeout_error' } });
    expect(answer.headers['x-request-id']).toBeDefined();
  });

  test('a request id that could forge a log line is replaced, a good one is kept', async () => {
    const answer = await exchange(gateway.address, raw('POST', path, ['X-Request-Id: a b"c']));
    expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    const kept = await exchange(gateway.address, raw('POST', path, ['X-Request-Id: mine.1_2-3']));
    expect(kept.headers['x-request-id']).toBe('mine.1_2-3');
  });
});

test.each([
  ['GET', '/', 404],
  ['POST', '/v2/chat/completions', 404],
  ['GET', '/v1', 404],
  ['GET', '/admin', 404],
  ['POST', '*', 404],
  ['GET', '/v1/models/no-such-model', 404],
  ['GET', '/v1/models/%zz', 404],
])('%s %s does not exist', async (method, target, status) => {
  const answer = await exchange(gateway.address, raw(method, target));
  expectRefusal(answer, {
    dialect: 'OpenAI',
    status,
    code: target.startsWith('/v1/models') ? 'model_not_found' : 'unknown_route',
  });
});

test.each([
  ['a TLS greeting', Buffer.from('16030100c2010000be0303', 'hex')],
  ['no HTTP at all', 'hello, is anybody there?\r\n\r\n'],
  ['a method that cannot be one', 'G(T /v1/models HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['a version that does not exist', 'GET /v1/models HTTP/9.9\r\nHost: x\r\n\r\n'],
  ['a header without a colon', 'GET /v1/models HTTP/1.1\r\nHost x\r\n\r\n'],
  ['a NUL in a header', 'GET /v1/models HTTP/1.1\r\nHost: a\0b\r\n\r\n'],
  ['a Content-Length that is no number', 'POST /v1/embeddings HTTP/1.1\r\nContent-Length: many\r\n\r\n'],
  [
    'a chunk size that is no number',
    raw('POST', '/v1/embeddings', ['Transfer-Encoding: chunked'], 'zz\r\n{}\r\n'),
  ],
])('%s is answered with 400', async (_, bytes) => {
  expectRefusal(await exchange(gateway.address, bytes), {
    dialect: 'OpenAI',
    status: 400,
    code: 'invalid_request',
  });
});

test('a head far over the limit is refused, wherever its packets were cut', async () => {
  const answer = await exchange(
    gateway.address,
    raw('POST', '/v1/embeddings', [`X-Huge: ${'x'.repeat(megabyte)}`]),
  );
  expectRefusal(answer, { dialect: 'OpenAI', status: 431, code: 'headers_too_large' });
});

test('garbage behind a request gets nothing into the stream that answers it, and is refused after it', async () => {
  const gate = createGate();
  backend.enqueue(openai.chat({ gates: { 2: gate } }));
  const request = withBody('/v1/chat/completions', '{"model":"m","stream":true}');
  const { text } = await exchange(
    gateway.address,
    request,
    (soFar) => until('the first frame', () => soFar().includes('chat.completion.chunk')),
    'garbage\r\n\r\n',
    async () => gate.open(),
  );
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400']);
  expect(text.indexOf('[DONE]')).toBeLessThan(text.indexOf('HTTP/1.1 400'));
});
