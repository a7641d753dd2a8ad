import { readFileSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Clock } from '@llmproxy/time';
import { compileHook } from './index.ts';
import type { HookBudget, LuaOutcome } from './index.ts';

const folder = new URL('./bombs/', import.meta.url);
const bombs = readdirSync(folder).map((file) => {
  const source = readFileSync(new URL(file, folder), 'utf8');
  return { file, source, endings: /^-- ends by: (.*)$/m.exec(source)?.[1]?.split(' ') ?? [] };
});

/** Time that only the interpreter's own looks at it move: it looks every 256 units of work. */
class CountingClock implements Clock {
  looks = 0;
  readonly #stepMs: number;

  constructor(stepMs: number) {
    this.#stepMs = stepMs;
  }

  now(): number {
    return 1_700_000_000_000;
  }

  monotonic(): number {
    return ++this.looks * this.#stepMs;
  }
}

interface Observed {
  outcome: LuaOutcome;
  turns: number;
  /** Most looks at the clock between two turns of the event loop. */
  looksPerTurn: number;
}

/** Runs a script while counting the turns of the event loop. */
async function observe(source: string, stepMs: number, budget: Partial<HookBudget> = {}): Promise<Observed> {
  const clock = new CountingClock(stepMs);
  const hook = compileHook(source, { name: 'bomb', clock, budget });
  let [turns, looksPerTurn, before, ended] = [0, 0, 0, false];
  const look = (): void => {
    looksPerTurn = Math.max(looksPerTurn, clock.looks - before);
    before = clock.looks;
  };
  const tick = (): void => {
    turns++;
    look();
    if (!ended) setImmediate(tick);
  };
  setImmediate(tick);
  const outcome = await hook.run({});
  ended = true;
  look();
  return { outcome, turns, looksPerTurn };
}

const endingOf = (outcome: LuaOutcome): string => (outcome.kind === 'failed' ? outcome.reason : 'returned');

test.each(bombs)('$file ends as a spent budget', async ({ source, endings }) => {
  const { outcome } = await observe(source, 0);
  expect(endings).toContain(endingOf(outcome));
});

test.each(bombs)('$file leaves the event loop to others after every slice', async ({ source }) => {
  const { looksPerTurn } = await observe(source, 0);
  // A slice of 16,000 units has 63 looks. What cannot be left in between (one match: 25,000 units) may come on top.
  expect(looksPerTurn).toBeLessThanOrEqual(140);
});

test('a loop of a million instructions is spread over more than fifty turns', async () => {
  const { turns } = await observe('while true do end', 0);
  expect(turns).toBeGreaterThan(50);
});

test.each(['while true do end', 'while true do pcall(string.rep, "a", 1000) end'])(
  '%s ends when its time is over',
  async (source) => {
    const { outcome } = await observe(source, 1, { timeMs: 20 });
    expect(outcome).toMatchObject({ kind: 'failed', reason: 'time' });
  },
);

test('many runaway hooks at once share one slice of each turn', async () => {
  const clock = new CountingClock(0);
  const hook = compileHook('while true do end', { name: 'bomb', clock, budget: { instructions: 100_000 } });
  let [most, before, ended] = [0, 0, false];
  const tick = (): void => {
    most = Math.max(most, clock.looks - before);
    before = clock.looks;
    if (!ended) setImmediate(tick);
  };
  setImmediate(tick);
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => hook.run({})));
  ended = true;
  expect(outcomes.map(endingOf)).toEqual(Array.from({ length: 20 }, () => 'instructions'));
  // Two slices: the first one of a new hook and one of those that wait.
  expect(most).toBeLessThanOrEqual(140);
});

test('while a hook runs away, others are answered in between', async () => {
  const bomb = compileHook('while true do end', { name: 'bomb', clock: new CountingClock(0) });
  const small = compileHook('return true', { name: 'small' });
  const order: string[] = [];
  const slow = Promise.resolve(bomb.run({})).then(() => order.push('bomb'));
  const quick = Promise.resolve(small.run({})).then(() => order.push('small'));
  await Promise.all([slow, quick]);
  expect(order).toEqual(['small', 'bomb']);
});
