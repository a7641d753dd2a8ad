import fc from 'fast-check';
import { expect, test } from 'vitest';
import { smoothWeighted, startSmoothWeighted } from './smooth-weighted.ts';

function picks(
  weights: number[],
  count: number,
  isUp: (backend: number, turn: number) => boolean = () => true,
) {
  let state = startSmoothWeighted(weights.length);
  return Array.from({ length: count }, (_, turn) => {
    const candidates = weights.map((weight, backend) => ({ weight, available: isUp(backend, turn) }));
    const result = smoothWeighted(state, candidates);
    state = result.state;
    return result.chosen;
  });
}

test('weights 5:1:1 are spread, not sent in bursts', () => {
  expect(picks([5, 1, 1], 7)).toEqual([0, 0, 1, 0, 2, 0, 0]);
});

test('equal weights are plain round robin', () => {
  expect(picks([1, 1, 1], 6)).toEqual([0, 1, 2, 0, 1, 2]);
});

test('an unavailable backend is skipped and the others share its part', () => {
  expect(picks([1, 1, 1], 4, (backend) => backend !== 1)).toEqual([0, 2, 0, 2]);
});

test('the last available backend is chosen whatever it owed before the others went away', () => {
  expect(picks([1, 1, 1, 1, 1], 4, (backend, turn) => turn === 0 || backend === 0)).toEqual([0, 0, 0, 0]);
});

test('nothing is chosen only when nothing is available', () => {
  expect(picks([1, 2], 2, () => false)).toEqual([undefined, undefined]);
  expect(picks([], 1)).toEqual([undefined]);
});

test('over a full cycle every backend is chosen exactly as often as its weight says', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 }), (weights) => {
      const cycle = picks(
        weights,
        weights.reduce((sum, weight) => sum + weight, 0),
      );
      weights.forEach((weight, backend) => {
        expect(cycle.filter((chosen) => chosen === backend)).toHaveLength(weight);
      });
    }),
  );
});

test('a backend is chosen exactly when one is available, through any history of outages', () => {
  const outages = fc.array(fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }), { maxLength: 50 });
  fc.assert(
    fc.property(outages, (up) => {
      const chosen = picks([3, 1, 2], up.length, (backend, turn) => up[turn]?.[backend] ?? false);
      chosen.forEach((choice, turn) => {
        if (choice === undefined) expect(up[turn]).toEqual([false, false, false]);
        else expect(up[turn]?.[choice]).toBe(true);
      });
    }),
  );
});
