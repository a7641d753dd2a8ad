import { GatewayError } from '@llmproxy/errors';
import { expect, test } from 'vitest';
import { createRequestMemory, parseRequestHead } from './request-head.ts';

const parse = (...lines: string[]) => parseRequestHead(lines.join('\r\n'));

test('method, target and headers are kept as they came', () => {
  expect(parse('POST /v1/x?a=%20&b HTTP/1.1', 'X-Odd-CASE:  a b ', 'x-odd-case: c', 'Empty:')).toEqual({
    method: 'POST',
    target: '/v1/x?a=%20&b',
    rawHeaders: ['X-Odd-CASE', 'a b', 'x-odd-case', 'c', 'Empty', ''],
    framing: { kind: 'none' },
    isHttp11: true,
    keepAlive: true,
    expectsContinue: false,
  });
});

test.each([
  [['GET / HTTP/1.1', 'Connection: close'], { keepAlive: false }],
  [['GET / HTTP/1.0'], { keepAlive: false, isHttp11: false }],
  [['GET / HTTP/1.0', 'Connection: Keep-Alive'], { keepAlive: true }],
  [['POST / HTTP/1.1', 'Content-Length: 12'], { framing: { kind: 'length', bytes: 12 } }],
  [['POST / HTTP/1.1', 'Content-Length: 0'], { framing: { kind: 'none' } }],
  [['POST / HTTP/1.1', 'Transfer-Encoding: Chunked'], { framing: { kind: 'chunked' } }],
  [['POST / HTTP/1.1', 'Expect: 100-Continue', 'Content-Length: 1'], { expectsContinue: true }],
  [['POST / HTTP/1.1', 'Expect: magic'], { expectsContinue: false }],
])('%j means %j', (lines, meaning) => {
  expect(parse(...lines)).toMatchObject(meaning);
});

// Each of these is read in two ways by two servers somewhere: what one takes for a body, the other takes for a request.
test.each([
  ['GET /'],
  ['GET  / HTTP/1.1'],
  ['GET / HTTP/1.1 '],
  ['GET /a b HTTP/1.1'],
  ['GET / HTTP/2.0'],
  ['G(T / HTTP/1.1'],
  ['GET / HTTP/1.1', 'No colon'],
  ['GET / HTTP/1.1', ': no name'],
  ['GET / HTTP/1.1', 'Name : value'],
  ['GET / HTTP/1.1', 'A: b', ' folded'],
  ['GET / HTTP/1.1', 'A: b\nInjected: c'],
  ['GET / HTTP/1.1', 'A: b\rInjected: c'],
  ['GET / HTTP/1.1', 'A: \0'],
  ['POST / HTTP/1.1', 'Content-Length: 1', 'Content-Length: 1'],
  ['POST / HTTP/1.1', 'Content-Length: 1, 1'],
  ['POST / HTTP/1.1', 'Content-Length: +1'],
  ['POST / HTTP/1.1', 'Content-Length: 0x1'],
  ['POST / HTTP/1.1', 'Content-Length: '],
  ['POST / HTTP/1.1', 'Content-Length: 1', 'Transfer-Encoding: chunked'],
  ['POST / HTTP/1.1', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
  ['POST / HTTP/1.1', 'Transfer-Encoding: gzip, chunked'],
  ['POST / HTTP/1.1', 'Transfer-Encoding: xchunked'],
  ['POST / HTTP/1.0', 'Transfer-Encoding: chunked'],
])('%j is refused', (...lines) => {
  expect(() => parse(...lines)).toThrow(GatewayError);
});

test('a head is read the same whatever the connection has brought before', () => {
  const memory = createRequestMemory();
  const heads = [
    ['POST /a HTTP/1.1', 'Host: a', 'Content-Length: 12'],
    ['POST /a HTTP/1.1', 'Host: a', 'Content-Length: 1'],
    ['POST /a HTTP/1.1', 'Host: ab', 'Content-Length: 1', 'Connection: close'],
    ['POST /a HTTP/1.0', 'Host: ab'],
    ['GET /ab HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked'],
    ['GET /ab HTTP/1.1', 'Transfer-Encoding: chunked', 'Expect: 100-continue'],
  ].map((lines) => lines.join('\r\n'));
  for (const head of [...heads, ...heads.toReversed()]) {
    expect(parseRequestHead(head, memory)).toEqual(parseRequestHead(head));
  }
  const twice = 'POST /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1';
  expect(() => parseRequestHead(twice, memory)).toThrow(GatewayError);
  expect(() => parseRequestHead(twice, memory)).toThrow(GatewayError);
});
