import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RecentlyUsed } from './recently-used.ts';

test('the entry that was unused for longest makes room', () => {
  const map = new RecentlyUsed<number>(2);
  map.set('a', 1);
  map.set('b', 2);
  map.get('a');
  map.set('c', 3);
  expect([map.get('a'), map.get('b'), map.get('c')]).toEqual([1, undefined, 3]);
});

test('it never holds more than it may, and what it holds is what was set last', () => {
  const action = fc.tuple(fc.constantFrom('set', 'get', 'delete'), fc.nat(9), fc.nat(99));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(action), (entriesMax, actions) => {
      const map = new RecentlyUsed<number>(entriesMax);
      const latest = new Map<string, number>();
      for (const [kind, key, value] of actions) {
        const name = String(key);
        if (kind === 'set') map.set(name, value);
        if (kind === 'set') latest.set(name, value);
        if (kind === 'delete') map.delete(name);
        if (kind === 'delete') latest.delete(name);
        expect([undefined, latest.get(name)]).toContain(map.get(name));
        if (kind === 'set') expect(map.get(name)).toBe(value);
        expect(map.size).toBeLessThanOrEqual(entriesMax);
      }
    }),
  );
});
