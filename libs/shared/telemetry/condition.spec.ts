import { expect, test } from 'vitest';
import { createCondition } from './condition.ts';

/** A condition under a clock that is set by hand. */
function watched() {
  const changes: (string | undefined)[] = [];
  let nowMs = Date.UTC(2026, 1, 3, 4, 5, 6);
  const condition = createCondition({ onChange: (cause) => changes.push(cause), now: () => nowMs });
  return { condition, changes, pass: (ms: number) => (nowMs += ms) };
}

test('what never failed is ok', () => {
  const { condition, changes } = watched();
  condition.ok();
  expect([condition.isWell(), condition.found(), changes]).toEqual([true, 'ok', []]);
});

test('an outage is told once, with its latest cause and since when it lasts', () => {
  const { condition, changes, pass } = watched();
  condition.failed('connect ECONNREFUSED');
  pass(1_500);
  condition.failed('no answer within 100 ms');
  expect(condition.isWell()).toBe(false);
  expect(condition.found()).toBe('failing since 2026-02-03T04:05:06.000Z: no answer within 100 ms');
  expect(changes).toEqual(['connect ECONNREFUSED']);
});

test('after an outage the last failure can still be read, and the next outage counts from its own start', () => {
  const { condition, changes, pass } = watched();
  condition.failed('READONLY');
  pass(2_000);
  condition.ok();
  condition.ok();
  expect([condition.isWell(), condition.found()]).toEqual([
    true,
    'ok; failed last at 2026-02-03T04:05:06.000Z: READONLY',
  ]);
  pass(3_000);
  condition.failed('OOM');
  expect(condition.found()).toBe('failing since 2026-02-03T04:05:11.000Z: OOM');
  expect(changes).toEqual(['READONLY', undefined, 'OOM']);
});
