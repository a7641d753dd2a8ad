import { expect, test } from 'vitest';
import { createRequestHeaderRules, requestHeaders, responseHead } from './header-rules.ts';

const plain = createRequestHeaderRules(['authorization'], []);
const sentOf = (received: string[], rules = plain, identity = false) =>
  requestHeaders(received, rules, 'r1', identity);
const kept = (headers: string[]) => headers.slice(0, headers.indexOf('x-request-id'));

test.each([
  'Authorization',
  'Proxy-Authorization',
  'X-Api-Key',
  'api-key',
  'X-Goog-Api-Key',
  'xi-api-key',
  'Cookie',
])('a credential of the client never reaches a backend: %s', (name) => {
  expect(kept(sentOf([name, 'canary', 'x-a', '1', name.toLowerCase(), 'canary']))).toEqual(['x-a', '1']);
});

test.each([
  'X-Forwarded-For',
  'x-forwarded-host',
  'X-FORWARDED-PROTO',
  'Forwarded',
  'X-Real-IP',
  'X-Api-Key-UserId',
  'X-Api-Key-Name',
  'X-Gateway-Destination-Endpoint',
  'x-amz-security-token',
])('an identity of the client never reaches a backend: %s', (name) => {
  expect(kept(sentOf([name, 'canary']))).toEqual([]);
});

test.each([
  'Connection',
  'Keep-Alive',
  'Proxy-Connection',
  'TE',
  'Trailer',
  'Transfer-Encoding',
  'Upgrade',
  'Host',
  'Expect',
  'Content-Length',
])('a header of one hop stays on it: %s', (name) => {
  expect(kept(sentOf([name, '1', 'x-a', '1']))).toEqual(['x-a', '1']);
});

test('headers named by Connection stay on their hop, wherever they stand and however they are spelled', () => {
  const received = [
    'X-One',
    '1',
    'connection',
    'close, x-one',
    'x-two',
    '2',
    'Connection',
    'X-TWO',
    'x-three',
    '3',
  ];
  expect(kept(sentOf(received))).toEqual(['x-three', '3']);
});

test('all other headers keep their order, spelling, duplicates and bytes', () => {
  const received = ['X-B', '2', 'x-b', '\xff', 'Accept-Encoding', 'gzip', 'OpenAI-Beta', '', 'X-B', ' 3'];
  expect(kept(sentOf(received))).toEqual(received);
});

test('the header that holds keys here is dropped too', () => {
  const rules = createRequestHeaderRules(['X-Our-Key'], []);
  expect(kept(sentOf(['x-our-key', 'canary', 'X-OUR-KEY', 'canary'], rules))).toEqual([]);
});

test("a backend's credential takes the place of the client's, once", () => {
  const rules = createRequestHeaderRules([], ['authorization', 'Bearer ours', 'x-team', 'ours']);
  const sent = sentOf(['Authorization', 'Bearer canary', 'X-Team', 'canary'], rules);
  expect(sent).toEqual(['x-request-id', 'r1', 'authorization', 'Bearer ours', 'x-team', 'ours']);
});

test("the client's x-request-id is replaced by the one of the exchange", () => {
  expect(sentOf(['X-Request-ID', 'theirs'])).toEqual(['x-request-id', 'r1']);
});

test('where the answer is scanned and changed, the backend is asked not to compress', () => {
  expect(sentOf(['Accept-Encoding', 'gzip, br', 'x-a', '1'], plain, true)).toEqual([
    ...['x-a', '1'],
    ...['accept-encoding', 'identity', 'x-request-id', 'r1'],
  ]);
});

test('more header names than are remembered are judged the same', () => {
  const rules = createRequestHeaderRules([], []);
  for (let i = 0; i < 2_000; i++) sentOf([`x-${i}`, '1'], rules);
  expect(kept(sentOf(['AUTHORIZATION', 'canary', 'x-1999', '1'], rules))).toEqual(['x-1999', '1']);
});

const answered = (received: string[]) => responseHead(received, { requestId: 'r1' });

test.each([
  'Authorization',
  'X-Api-Key',
  'api-key',
  'Proxy-Authenticate',
  'Connection',
  'Keep-Alive',
  'Transfer-Encoding',
  'Upgrade',
])('of an answer this stays at the gateway: %s', (name) => {
  expect(answered([name, 'x', 'X-A', '1']).headers).toEqual(['X-A', '1', 'x-request-id', 'r1']);
});

test('headers of an answer keep their order, spelling and duplicates', () => {
  const received = ['Set-Cookie', 'a=1', 'Server', 'vllm', 'set-cookie', 'b=2', 'Content-Encoding', 'gzip'];
  expect(answered(received).headers).toEqual([...received, 'x-request-id', 'r1']);
});

test("the backend's x-request-id gives way to the one the client was told", () => {
  expect(answered(['X-Request-Id', 'theirs']).headers).toEqual(['x-request-id', 'r1']);
});

test('the length of a whole answer is kept, that of a stream is not, for bytes may be taken out', () => {
  expect(answered(['content-type', 'application/json', 'Content-Length', '7']).headers).toContain('7');
  expect(answered(['content-type', 'text/event-stream', 'Content-Length', '7']).headers).not.toContain('7');
});

test('a stream tells proxies on its way not to hold it back', () => {
  expect(answered(['Content-Type', 'text/event-stream']).headers).toEqual([
    ...['Content-Type', 'text/event-stream', 'cache-control', 'no-cache, no-transform'],
    ...['x-accel-buffering', 'no', 'x-request-id', 'r1'],
  ]);
});

test("the backend's own cache-control of a stream stays, and nothing is said twice", () => {
  const { headers } = answered([
    ...['content-type', 'Text/Event-Stream; charset=utf-8', 'Cache-Control', 'no-store'],
    ...['X-Accel-Buffering', 'yes'],
  ]);
  expect(headers).toEqual([
    ...['content-type', 'Text/Event-Stream; charset=utf-8', 'Cache-Control', 'no-store'],
    ...['x-accel-buffering', 'no', 'x-request-id', 'r1'],
  ]);
});

test.each([
  [['content-encoding', 'GZIP '], 'gzip'],
  [['content-encoding', 'identity'], ''],
  [[], ''],
])('the encoding of a body is read from %j', (received, encoding) => {
  expect(answered(received).contentEncoding).toBe(encoding);
});

test('a length that Connection names is still the length of the body', () => {
  expect(answered(['Connection', 'Content-Length', 'Content-Length', '7', 'x-a', '1']).headers).toContain(
    '7',
  );
});

test('limits of the caller replace those that the backend told the gateway; without any these pass', () => {
  const received = ['X-RateLimit-Remaining-Requests', '5', 'x-ratelimit-reset-tokens', '1s', 'x-other', 'a'];
  const terms = { requestId: 'r1' };
  expect(responseHead(received, terms).headers).toEqual([...received, 'x-request-id', 'r1']);
  const rateHeaders = ['x-ratelimit-remaining-requests', '2'];
  expect(responseHead(received, { ...terms, rateHeaders }).headers).toEqual([
    'x-other',
    'a',
    ...rateHeaders,
    'x-request-id',
    'r1',
  ]);
});
