import { FakeClock } from '@llmproxy/time';
import { expect, test } from 'vitest';
import { compileHook } from './index.ts';
import { Turns, type Sliced } from './turns.ts';

/** A job of so many units that notes each slice it gets. */
function job(name: string, total: number, log: string[]): Sliced {
  let units = 0;
  return {
    get units() {
      return units;
    },
    slice: (most) => {
      log.push(name);
      units += Math.min(most, total - units);
      return units >= total;
    },
  };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('a new hook waits for no more than the slice that is running, however many never end', async () => {
  const log: string[] = [];
  const turns = new Turns(100);
  for (const name of ['a', 'b', 'c']) turns.start(job(name, Infinity, log));
  for (let i = 0; i < 3; i++) await turn();
  log.length = 0;
  turns.start(job('short', 10, log));
  for (let i = 0; i < 3; i++) await turn();
  expect(log.indexOf('short')).toBeOneOf([0, 1]);
});

test('hooks that take several slices take turns', async () => {
  const log: string[] = [];
  const turns = new Turns(100);
  turns.start(job('a', 300, log));
  await turn();
  turns.start(job('b', 300, log));
  for (let i = 0; i < 6; i++) await turn();
  expect(log.filter((name) => name === 'a')).toHaveLength(3);
  expect(log.filter((name) => name === 'b')).toHaveLength(3);
  expect(log.lastIndexOf('a')).toBeLessThan(log.lastIndexOf('b'));
});

test('a hook does not pay for the time it waits for its turn', async () => {
  const clock = new FakeClock();
  const loop = 'for i = 1, 40000 do end return true';
  const outcome = compileHook(loop, { name: 'spec', budget: { timeMs: 10 }, clock }).run({});
  expect(outcome).toBeInstanceOf(Promise);
  clock.advance(60_000);
  expect(await outcome).toEqual({ kind: 'returned', value: true });
});
