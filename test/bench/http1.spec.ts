import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MessageReader } from './http1.ts';

const request = 'POST /a HTTP/1.1\r\nhost: x\r\nContent-Length: 5\r\n\r\nhello';
const bodyless = 'GET /health HTTP/1.1\r\nhost: x\r\n\r\n';
const chunked =
  'POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\ntrailer: 1\r\n\r\n';
const wire = Buffer.from(request + bodyless + chunked + request);

function readAll(pieces: readonly Buffer[]): string[] {
  const messages: string[] = [];
  let current = '';
  const reader = new MessageReader('request', {
    head: ({ startLine }) => {
      current = `${startLine}: `;
    },
    body: (bytes) => {
      current += bytes.toString('latin1');
    },
    end: () => messages.push(current),
  });
  for (const piece of pieces) reader.feed(piece);
  expect(reader.isIdle).toBe(true);
  return messages;
}

const expected = [
  'POST /a HTTP/1.1: hello',
  'GET /health HTTP/1.1: ',
  'POST /b HTTP/1.1: abcde',
  'POST /a HTTP/1.1: hello',
];

test('pipelined requests are read in order', () => {
  expect(readAll([wire])).toEqual(expected);
});

test('what is read does not depend on where the network cut it', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(wire.length)), (cuts) => {
      const bounds = [0, ...cuts.toSorted((a, b) => a - b), wire.length];
      const pieces = bounds.slice(1).map((to, index) => wire.subarray(bounds[index], to));
      expect(readAll(pieces)).toEqual(expected);
    }),
  );
});

test('an answer without a length ends when the connection closes', () => {
  let body = '';
  let ended = 0;
  const reader = new MessageReader('response', {
    head: () => undefined,
    body: (bytes) => {
      body += bytes.toString();
    },
    end: () => {
      ended += 1;
    },
  });
  reader.feed(Buffer.from('HTTP/1.1 200 OK\r\n\r\npart'));
  reader.feed(Buffer.from('ial'));
  expect(ended).toBe(0);
  reader.close();
  expect([body, ended]).toEqual(['partial', 1]);
});
