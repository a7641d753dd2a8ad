import { hashOfKey, keyIdOfHash } from '@llmproxy/key-store';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compare, emptyCopy, isUnchanged, type KeyCopy } from './compare.ts';

const note = '{"removed_at":"2026-01-15T00:00:00.000Z"}';
const hashes = ['a', 'b', 'c'].map(hashOfKey);
const who = fc.nat({ max: hashes.length - 1 });

type Touch = 'store' | 'disable' | 'enable' | 'remove';
type Step =
  | { do: Touch; key: number; dies: boolean }
  | { do: 'lose'; key: number }
  | { do: 'loseLatest' | 'flush' | 'wait' }
  | { do: 'look' | 'goOn' | 'restart' | 'cut'; scheduler: number };

const scheduler = fc.nat({ max: 1 });
const step = fc.oneof(
  fc.record({
    do: fc.constantFrom('store', 'disable', 'enable', 'remove'),
    key: who,
    dies: fc.boolean(),
  }),
  fc.record({ do: fc.constant('lose'), key: who }),
  fc.record({ do: fc.constantFrom('loseLatest', 'flush', 'wait') }),
  fc.record({ do: fc.constantFrom('look', 'goOn', 'restart', 'cut'), scheduler }),
  fc.record({ do: fc.constantFrom('look', 'goOn'), scheduler }),
) as fc.Arbitrary<Step>;

interface Scheduler {
  copy: KeyCopy;
  heard: Set<string> | undefined;
  /** What it is putting back, in three steps that others come between. */
  puts: Puts | undefined;
}
interface Puts {
  readonly heard: ReadonlySet<string> | undefined;
  readonly reserved: string;
  readonly next: 'reserve' | 'makeSure' | 'fill';
  readonly hashes: readonly string[];
}
const newScheduler = (): Scheduler => ({ copy: emptyCopy, heard: undefined, puts: undefined });
const isReserved = (text: string) => text.startsWith('reserved');

/** A store that loses what it holds, schedulers that are away now and then, and the truth that people know. */
class Model {
  readonly redis = new Map<string, string>();
  readonly truth = new Map<string, 'removed' | string>();
  latest: string | undefined;
  restored = 0;
  #changes = 0;
  /** Changes whose authors died before the end. */
  #areUnderWay = false;
  readonly #schedulers = [newScheduler(), newScheduler()];
  readonly #evicts: boolean;

  constructor(evicts: boolean) {
    this.#evicts = evicts;
  }

  run(step: Step): void {
    if ('dies' in step) this.#touch(step.do, hashes[step.key] ?? '', step.dies);
    else if ('key' in step) this.#lose(hashes[step.key] ?? '');
    else if ('scheduler' in step) this.#schedule(step.do, this.#schedulers[step.scheduler] ?? newScheduler());
    else if (step.do === 'wait') this.#tenMinutesPass();
    else this.#loseLatest(step.do === 'flush');
  }

  #lose(sha256: string): void {
    if (this.#evicts) this.redis.delete(sha256);
  }

  #loseLatest(andAll: boolean): void {
    if (andAll) this.redis.clear();
    if (andAll || this.#evicts) [this.latest, this.#areUnderWay] = [undefined, false];
  }

  #touch(action: Touch, sha256: string, dies: boolean): void {
    const now = this.redis.get(sha256);
    const isNew = !this.truth.has(sha256);
    const isThere = now !== undefined && now !== note && !isReserved(now);
    const isRefused = { store: !isNew, remove: isNew || now === note, disable: !isThere, enable: !isThere };
    if (isRefused[action]) return;
    const text = action === 'remove' ? note : `{"name":"${action}"}`;
    this.redis.set(sha256, text);
    this.truth.set(sha256, action === 'remove' ? 'removed' : text);
    if (dies) this.#areUnderWay = true;
    else this.latest = `change ${(this.#changes += 1)}`;
    for (const { heard } of this.#schedulers) heard?.add(keyIdOfHash(sha256));
  }

  #tenMinutesPass(): void {
    for (const [sha256, text] of this.redis) if (isReserved(text)) this.redis.delete(sha256);
    if (this.#areUnderWay) this.latest = `given up ${(this.#changes += 1)}`;
    this.#areUnderWay = false;
  }

  #schedule(action: 'look' | 'goOn' | 'restart' | 'cut', scheduler: Scheduler): void {
    if (action === 'restart') scheduler.puts = undefined;
    if (action === 'restart' || action === 'cut') return void (scheduler.heard = undefined);
    if (action === 'goOn') return this.#goOn(scheduler);
    while (scheduler.puts !== undefined) this.#goOn(scheduler);
    const { heard } = scheduler;
    scheduler.heard = new Set();
    const found = new Map([...this.redis].filter(([, text]) => !isReserved(text)));
    const look = { found, latest: this.#readLatest(), heard, evicts: this.#evicts };
    const { copy, restore, removeAgain } = compare(scheduler.copy, look, 0);
    scheduler.copy = copy;
    for (const sha256 of removeAgain) expect(this.truth.get(sha256)).toBe('removed');
    const reserved = `reserved ${(this.#changes += 1)}`;
    scheduler.puts = { heard, reserved, next: 'reserve', hashes: restore };
  }

  #goOn(scheduler: Scheduler): void {
    const { copy, puts } = scheduler;
    if (puts?.next === 'reserve') {
      const hashes = puts.hashes.filter((sha256) => !this.redis.has(sha256));
      for (const sha256 of hashes) this.redis.set(sha256, puts.reserved);
      scheduler.puts = { ...puts, next: 'makeSure', hashes };
    } else if (puts?.next === 'makeSure') {
      const heard = puts.heard && scheduler.heard && puts.heard.union(scheduler.heard);
      const now = { latest: this.#readLatest(), heard };
      const hashes = puts.hashes.filter((sha256) => isUnchanged(copy, now, sha256));
      scheduler.puts = { ...puts, next: 'fill', hashes };
    } else if (puts !== undefined) {
      this.#fill(copy, puts);
      scheduler.puts = undefined;
    }
  }

  #fill(copy: KeyCopy, { hashes, reserved }: Puts): void {
    for (const sha256 of hashes) {
      if (this.redis.get(sha256) !== reserved) continue;
      const text = copy.records.get(sha256) ?? '';
      expect(text).toBe(this.truth.get(sha256));
      this.redis.set(sha256, text);
      this.restored += 1;
    }
    this.latest ??= `named ${(this.#changes += 1)}`;
  }

  #readLatest(): string | undefined {
    return this.#areUnderWay ? 'unsettled' : this.latest;
  }
}

/** A removal whose author died, and whose note was lost, long before the next scheduler looks. */
const diesUnheard: Step[] = [
  { do: 'look', scheduler: 0 },
  { do: 'look', scheduler: 0 },
  { do: 'restart', scheduler: 0 },
  { do: 'remove', key: 1, dies: true },
  { do: 'wait' },
  { do: 'lose', key: 1 },
  { do: 'look', scheduler: 0 },
  { do: 'look', scheduler: 0 },
];

test('whatever is lost and whoever is away: what is put back is what it was last, and never a removed key', () => {
  let restored = 0;
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }),
      (evicts, steps) => {
        const model = new Model(evicts);
        for (const [key] of hashes.entries()) model.run({ do: 'store', key, dies: false });
        for (const each of steps) model.run(each);
        restored += model.restored;
      },
    ),
    { numRuns: 2000, examples: [[true, diesUnheard]] },
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
  [
    'gone with all else, just after another key changed',
    { evicts: false, latest: undefined, heard: new Set(['k']) },
    'restore',
  ],
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
