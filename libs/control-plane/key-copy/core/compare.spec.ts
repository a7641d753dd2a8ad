import { hashOfKey, keyIdOfHash } from '@llmproxy/key-store';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compare, emptyCopy, type KeyCopy } from './compare.ts';

const note = '{"removed_at":"2026-01-15T00:00:00.000Z"}';
const hashes = ['a', 'b', 'c'].map(hashOfKey);
const who = fc.nat({ max: hashes.length - 1 });

type Step =
  | { do: 'store' | 'disable' | 'enable' | 'remove' | 'lose'; key: number }
  | { do: 'loseLatest' | 'flush' }
  | { do: 'look' | 'restart' | 'cut'; scheduler: number };

const step = fc.oneof(
  fc.record({ do: fc.constantFrom('store', 'disable', 'enable', 'remove', 'lose'), key: who }),
  fc.record({ do: fc.constantFrom('loseLatest', 'flush') }),
  fc.record({ do: fc.constantFrom('look', 'restart', 'cut'), scheduler: fc.nat({ max: 1 }) }),
  fc.record({ do: fc.constant('look'), scheduler: fc.nat({ max: 1 }) }),
) as fc.Arbitrary<Step>;

/** A store that loses what it holds, schedulers that are away now and then, and the truth that people know. */
class Model {
  readonly redis = new Map<string, string>();
  readonly truth = new Map<string, 'removed' | string>();
  latest: string | undefined;
  restored = 0;
  #changes = 0;
  readonly #schedulers: { copy: KeyCopy; heard: Set<string> | undefined }[] = [
    { copy: emptyCopy, heard: undefined },
    { copy: emptyCopy, heard: undefined },
  ];
  readonly #evicts: boolean;

  constructor(evicts: boolean) {
    this.#evicts = evicts;
  }

  run(step: Step): void {
    if ('key' in step) return this.#touch(step.do, hashes[step.key] ?? '');
    if ('scheduler' in step) return this.#schedule(step.do, step.scheduler);
    if (step.do === 'flush') this.redis.clear();
    if (step.do === 'flush' || this.#evicts) this.latest = undefined;
  }

  #touch(action: 'store' | 'disable' | 'enable' | 'remove' | 'lose', sha256: string): void {
    if (action === 'lose') {
      if (this.#evicts) this.redis.delete(sha256);
      return;
    }
    const now = this.redis.get(sha256);
    const isNew = !this.truth.has(sha256);
    if (action === 'store' ? !isNew : now === undefined || now === note) return; // refused by the store
    const text = action === 'remove' ? note : `{"name":"${action}"}`;
    this.redis.set(sha256, text);
    this.truth.set(sha256, action === 'remove' ? 'removed' : text);
    this.latest = `change ${(this.#changes += 1)}`;
    for (const { heard } of this.#schedulers) heard?.add(keyIdOfHash(sha256));
  }

  #schedule(action: 'look' | 'restart' | 'cut', index: number): void {
    const scheduler = this.#schedulers[index];
    if (scheduler === undefined) return;
    if (action !== 'look') return void (scheduler.heard = undefined);
    const { heard } = scheduler;
    scheduler.heard = new Set();
    const look = { found: new Map(this.redis), latest: this.latest, heard, evicts: this.#evicts };
    const { copy, restore, removeAgain } = compare(scheduler.copy, look, 0);
    scheduler.copy = copy;
    for (const sha256 of restore) {
      if (this.redis.has(sha256)) continue;
      const text = copy.records.get(sha256) ?? '';
      expect(text).toBe(this.truth.get(sha256));
      this.redis.set(sha256, text);
      this.restored += 1;
    }
    for (const sha256 of removeAgain) expect(this.truth.get(sha256)).toBe('removed');
    this.latest ??= `named ${(this.#changes += 1)}`;
  }
}

test('whatever is lost and whoever is away: what is put back is what it was last, and never a removed key', () => {
  let restored = 0;
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }),
      (evicts, steps) => {
        const model = new Model(evicts);
        for (const [key] of hashes.entries()) model.run({ do: 'store', key });
        for (const each of steps) model.run(each);
        restored += model.restored;
      },
    ),
    { numRuns: 2000 },
  );
  expect(restored).toBeGreaterThan(100);
});

const [sha256 = ''] = hashes;
const known = (over: Partial<KeyCopy> = {}): KeyCopy => ({
  ...emptyCopy,
  latest: 'one',
  records: new Map([[sha256, '{"name":"ci"}']]),
  ...over,
});
const missing = { found: new Map<string, string>(), latest: 'one', heard: new Set<string>(), evicts: true };

test.each([
  ['evicted, and nothing changed', {}, 'restore'],
  ['evicted while we were away, and nothing changed', { heard: undefined }, 'restore'],
  ['evicted while we were away, and something changed', { heard: undefined, latest: 'two' }, 'doubt'],
  ['evicted, and another key changed before our ears', { latest: 'two', heard: new Set(['k']) }, 'restore'],
  [
    'evicted, and it changed before our ears',
    { latest: 'two', heard: new Set([keyIdOfHash(sha256)]) },
    'doubt',
  ],
  ['gone without a reason', { evicts: false }, 'doubt'],
  ['gone with all else', { evicts: false, latest: undefined }, 'restore'],
  ['gone with all else while we were away', { evicts: false, latest: undefined, heard: undefined }, 'doubt'],
  ['evicted while a change is under way', { latest: 'unsettled', heard: undefined }, 'doubt'],
] as const)('%s → %s', (_, over, outcome) => {
  const { restore, copy } = compare(known(), { ...missing, ...over }, 0);
  expect(restore).toEqual(outcome === 'restore' ? [sha256] : []);
  expect([...copy.doubtful]).toEqual(outcome === 'doubt' ? [sha256] : []);
});

test('doubt lasts until the key is there again, or a note of its removal', () => {
  const doubtful = known({ doubtful: new Set([sha256]) });
  expect(compare(doubtful, missing, 0)).toMatchObject({ restore: [], copy: { doubtful: new Set([sha256]) } });
  const back = compare(doubtful, { ...missing, found: new Map([[sha256, '{"name":"ci"}']]) }, 0);
  expect(back.copy).toMatchObject({ doubtful: new Set(), records: known().records });
  const removed = compare(doubtful, { ...missing, found: new Map([[sha256, note]]) }, 0);
  expect(removed.copy).toMatchObject({ doubtful: new Set(), records: new Map() });
  expect(removed.copy.removed.has(sha256)).toBe(true);
});

test('a removed key that is there again is removed again', () => {
  const { copy } = compare(known(), { ...missing, found: new Map([[sha256, note]]) }, 0);
  const back = compare(copy, { ...missing, found: new Map([[sha256, '{"name":"ci"}']]) }, 0);
  expect(back).toMatchObject({ removeAgain: [sha256], copy: { records: new Map() } });
});
