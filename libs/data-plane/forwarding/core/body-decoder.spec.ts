import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BodyDecoder } from './body-decoder.ts';
import type { Framing } from './response-start.ts';

/** Feeds the bytes in the given pieces; what came out, and what is left after the end of the body. */
function decode(framing: Framing, bytes: Buffer, cuts: readonly number[] = []) {
  const decoder = new BodyDecoder(framing);
  const edges = [0, ...[...cuts].sort((a, b) => a - b), bytes.length];
  const out: Buffer[] = [];
  let rest = '';
  for (let i = 1; i < edges.length; i++) {
    const piece = bytes.subarray(edges[i - 1], edges[i]);
    const end = decoder.feed(piece, 0, (chunk) => out.push(Buffer.from(chunk)));
    rest += piece.subarray(end).toString('latin1');
  }
  return { body: Buffer.concat(out).toString('latin1'), rest, done: decoder.done };
}

const chunked = { kind: 'chunked' } as const;

test.each([
  ['5\r\nhello\r\n0\r\n\r\n', 'hello', ''],
  ['5;a=b\r\nhello\r\n1 \r\n!\r\n0\r\n\r\n', 'hello!', ''],
  ['A\r\n0123456789\r\n00\r\n\r\nHTTP', '0123456789', 'HTTP'],
  ['0\r\nX-Trailer: 1\r\nY: 2\r\n\r\nrest', '', 'rest'],
  ['5\nhello\n0\n\n', 'hello', ''],
])('chunked %j is the body %j, and %j is left for the next answer', (wire, body, rest) => {
  expect(decode(chunked, Buffer.from(wire))).toEqual({ body, rest, done: true });
});

test.each([
  'hello',
  '\r\n\r\n',
  '5\r\nhelloX\r\n',
  '-1\r\n',
  `${'f'.repeat(13)}\r\n`,
  `5${';x'.repeat(20_000)}`,
])('chunked %j is refused', (wire) => {
  expect(() => decode(chunked, Buffer.from(wire))).toThrow(/not valid HTTP/);
});

test.each([
  '',
  '5',
  '5\r',
  '5\r\nhel',
  '5\r\nhello',
  '5\r\nhello\r\n',
  '5\r\nhello\r\n0\r\n',
  '0\r\nT: 1\r\n',
])('chunked %j is not complete', (wire) => {
  expect(decode(chunked, Buffer.from(wire)).done).toBe(false);
});

test('a counted body ends where its length says', () => {
  expect(decode({ kind: 'length', bytes: 3 }, Buffer.from('abcdef'))).toEqual({
    body: 'abc',
    rest: 'def',
    done: true,
  });
});

test('a body without a length takes all there is and is never done by itself', () => {
  expect(decode({ kind: 'until-close' }, Buffer.from('abc'))).toEqual({ body: 'abc', rest: '', done: false });
});

test('the body does not depend on where the network cut it', () => {
  const pieces = fc.array(fc.string({ minLength: 1, maxLength: 40 }), { maxLength: 6 });
  fc.assert(
    fc.property(pieces, fc.array(fc.nat(400), { maxLength: 12 }), (texts, cuts) => {
      const chunks = texts.map((text) => Buffer.from(text));
      const wire = Buffer.concat([
        ...chunks.flatMap((chunk) => [
          Buffer.from(`${chunk.length.toString(16)}\r\n`),
          chunk,
          Buffer.from('\r\n'),
        ]),
        Buffer.from('0\r\n\r\nNEXT'),
      ]);
      const inside = cuts.filter((cut) => cut < wire.length);
      const body = Buffer.concat(chunks).toString('latin1');
      expect(decode(chunked, wire, inside)).toEqual({ body, rest: 'NEXT', done: true });
    }),
  );
});
