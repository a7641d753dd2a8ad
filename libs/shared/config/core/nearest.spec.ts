import fc from 'fast-check';
import { expect, test } from 'vitest';
import { editDistance, nearest } from './nearest.ts';

test.each([
  ['', '', 0],
  ['abc', 'abc', 0],
  ['abc', '', 3],
  ['weigth', 'weight', 1],
  ['intervall', 'interval', 1],
  ['kitten', 'sitting', 3],
])('%j is %#: %j away by %d edits', (a, b, edits) => {
  expect(editDistance(a, b)).toBe(edits);
});

test('a distance is the same both ways and never more than the longer word', () => {
  const word = fc.string({ maxLength: 12 });
  fc.assert(
    fc.property(word, word, (a, b) => {
      expect(editDistance(a, b)).toBe(editDistance(b, a));
      expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
    }),
  );
});

const keys = ['listen', 'workers', 'read_timeout', 'max_body_size'];
test.each([
  ['worker', 'workers'],
  ['readTimeout', 'read_timeout'],
  ['max-body-size', 'max_body_size'],
  ['lsiten', 'listen'],
  ['tls', undefined],
  ['x'.repeat(100), undefined],
])('%s is taken for %s', (word, expected) => {
  expect(nearest(word, keys)).toBe(expected);
});
