import { expect, test } from 'vitest';
import { parseResponseStart } from './response-start.ts';

const parse = (lines: string[], method = 'POST') => parseResponseStart(lines.join('\r\n'), method);

test('names, values, duplicates and the reason phrase are kept as they came', () => {
  expect(
    parse(['HTTP/1.1 200 All Good', 'X-Odd-CASE:  a b ', 'Set-Cookie: a=1', 'Set-Cookie: b=2', 'X-Empty:']),
  ).toEqual({
    status: 200,
    statusText: 'All Good',
    rawHeaders: ['X-Odd-CASE', 'a b', 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'X-Empty', ''],
    framing: { kind: 'until-close' },
    keepAlive: false,
    idleMs: null,
  });
});

test.each([
  ['timeout=5', 5_000],
  ['Timeout=5, max=100', 5_000],
  ['timeout=0', 0],
  ['max=100', null],
  ['timeout=soon', null],
])('a backend that says Keep-Alive: %s is believed', (value, idleMs) => {
  expect(parse(['HTTP/1.1 200 OK', `Keep-Alive: ${value}`])).toMatchObject({ idleMs });
});

test.each([
  [['HTTP/1.1 200 OK', 'content-length: 5'], 'POST', { kind: 'length', bytes: 5 }, true],
  [['HTTP/1.1 200 OK', 'content-length: 5', 'Content-Length: 5'], 'POST', { kind: 'length', bytes: 5 }, true],
  [['HTTP/1.1 200 OK', 'content-length: 0'], 'POST', { kind: 'none' }, true],
  [['HTTP/1.1 200 OK', 'Transfer-Encoding: Chunked'], 'POST', { kind: 'chunked' }, true],
  [
    ['HTTP/1.1 200 OK', 'transfer-encoding: chunked', 'content-length: 5'],
    'POST',
    { kind: 'chunked' },
    false,
  ],
  [
    ['HTTP/1.1 200 OK', 'content-length: 5', 'Connection: close'],
    'POST',
    { kind: 'length', bytes: 5 },
    false,
  ],
  [['HTTP/1.0 200 OK', 'content-length: 5'], 'POST', { kind: 'length', bytes: 5 }, false],
  [
    ['HTTP/1.0 200 OK', 'content-length: 5', 'connection: Keep-Alive'],
    'POST',
    { kind: 'length', bytes: 5 },
    true,
  ],
  [['HTTP/1.1 200'], 'POST', { kind: 'until-close' }, false],
  [['HTTP/1.1 204 No Content'], 'POST', { kind: 'none' }, true],
  [['HTTP/1.1 304 Not Modified', 'content-length: 5'], 'GET', { kind: 'none' }, true],
  [['HTTP/1.1 200 OK', 'content-length: 5'], 'HEAD', { kind: 'none' }, false],
])('of %j to %s the body is framed as %j, connection kept: %s', (lines, method, framing, keepAlive) => {
  expect(parse(lines, method)).toMatchObject({ framing, keepAlive });
});

test.each([
  ['', 'no status line'],
  ['ICY 200 OK', 'no status line'],
  ['HTTP/2 200', 'no status line'],
  ['HTTP/1.1 20 OK', 'no status line'],
  ['HTTP/1.1 200 OK\r\nno colon', 'proper name'],
  ['HTTP/1.1 200 OK\r\n: empty', 'proper name'],
  ['HTTP/1.1 200 OK\r\nspaced : x', 'proper name'],
  ['HTTP/1.1 200 OK\r\nA: b\r\n folded', 'proper name'],
  ['HTTP/1.1 200 OK\r\nA: b\nInjected: c', 'control character'],
  ['HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6', 'differ'],
  ['HTTP/1.1 200 OK\r\ncontent-length: -5', 'no number'],
  ['HTTP/1.1 200 OK\r\ncontent-length: 5x', 'no number'],
  ['HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked', 'other than chunked'],
])('%j is refused: %s', (text, why) => {
  expect(() => parseResponseStart(text, 'POST')).toThrow(why);
});
