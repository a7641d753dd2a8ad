import fc from 'fast-check';
import { expect, test } from 'vitest';
import { asBatch, batchId, inBatches } from './batch.ts';
import { eventBytes } from './event-size.ts';
import { usageEvent } from './testing/usage-event.ts';

test('a batch has the same id whoever sends it, and another one when it holds other events', () => {
  const [a, b] = [usageEvent({ event_id: 'a' }), usageEvent({ event_id: 'b' })];
  // printf 'a\nb\n' | sha256sum | cut -c1-32
  expect(batchId([a, b])).toBe('911169ddaaf146aff539f58c26c489af');
  expect(batchId([a])).not.toBe(batchId([b]));
  expect(batchId([usageEvent({ event_id: 'ab' })])).not.toBe(batchId([a, b]));
});

const bodyOf = (bytes: number) => usageEvent({ request_body: 'x'.repeat(bytes) });

test.each([
  [0, []],
  [1, [1]],
  [3, [3]],
  [7, [3, 3, 1]],
])('%i events travel in batches of %j', (count, sizes) => {
  const events = Array.from({ length: count }, () => usageEvent());
  expect(inBatches(events, { count: 3, bytes: 1e6 }).map((batch) => batch.length)).toEqual(sizes);
});

test('batches keep within their bytes and in order; an event that is larger is a batch by itself', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(60_000), { maxLength: 30 }), (sizes) => {
      const events = sizes.map(bodyOf);
      const batches = inBatches(events, { count: 10, bytes: 50_000 });
      expect(batches.flat()).toEqual(events);
      for (const batch of batches.filter(({ length }) => length > 1))
        expect(JSON.stringify(batch).length).toBeLessThanOrEqual(50_000 + batch.length + 1);
      for (const [index, batch] of batches.entries()) {
        const next = batches[index + 1];
        if (next === undefined || batch.length === 10) continue;
        expect(JSON.stringify([...batch, next[0]]).length).toBeGreaterThan(50_000 - 10 * 1_500);
      }
    }),
  );
});

test('no event is larger than it is taken to be, whatever texts its client chose', () => {
  const text = fc.string({ unit: 'binary', maxLength: 4_000 });
  fc.assert(
    fc.property(text, text, fc.option(fc.jsonValue(), { nil: undefined }), (model, path, request_body) => {
      const event = usageEvent({ model, path, request_body });
      expect(eventBytes(event)).toBeGreaterThanOrEqual(Buffer.byteLength(JSON.stringify(event)));
    }),
  );
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
