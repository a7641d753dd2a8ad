import { expect, test } from 'vitest';
import { asBatch, batchId, inBatches } from './batch.ts';
import { usageEvent } from './usage-event.fixture.ts';

test('a batch has the same id whoever sends it, and another one when it holds other events', () => {
  const [a, b] = [usageEvent({ event_id: 'a' }), usageEvent({ event_id: 'b' })];
  // printf 'a\nb\n' | sha256sum | cut -c1-32
  expect(batchId([a, b])).toBe('911169ddaaf146aff539f58c26c489af');
  expect(batchId([a])).not.toBe(batchId([b]));
  expect(batchId([usageEvent({ event_id: 'ab' })])).not.toBe(batchId([a, b]));
});

test.each([
  [0, []],
  [1, [1]],
  [3, [3]],
  [7, [3, 3, 1]],
])('%i events travel in batches of %j', (count, sizes) => {
  expect(inBatches(Array.from({ length: count }), 3).map((batch) => batch.length)).toEqual(sizes);
});

test('an event with fields that this version does not know is read with them', () => {
  const newer = { ...usageEvent(), added_later: 1 };
  expect(asBatch([newer])).toEqual([newer]);
});

test.each([[{}], [null], ['text'], [[1]], [[{ event_id: 1 }]], [[null]]])(
  '%j is refused as a batch',
  (data) => {
    expect(() => asBatch(data)).toThrow('not a batch of usage events');
  },
);
