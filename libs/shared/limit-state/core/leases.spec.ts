import fc from 'fast-check';
import { expect, test } from 'vitest';
import { expiredLeases, leaseName, termsOf } from './leases.ts';

test('the name of a lease tells what it holds, whatever the id', () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(), fc.nat(), fc.nat(15), (id, tokens, atMs, flags) => {
      const terms = { tokens, atMs, flags };
      expect(termsOf(leaseName(id, terms))).toEqual(terms);
    }),
  );
});

test('expired leases are ended from the oldest on, as many as asked for', () => {
  const leases = new Map([
    ['c', 300],
    ['b', 100],
    ['a', 100],
    ['d', 301],
  ]);
  expect(expiredLeases(leases, 300, 9)).toEqual(['a', 'b', 'c']);
  expect(expiredLeases(leases, 300, 1)).toEqual(['a']);
});
