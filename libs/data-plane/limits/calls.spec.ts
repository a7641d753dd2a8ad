import { FakeClock } from '@llmproxy/time';
import { expect, test } from 'vitest';
import { Calls } from './calls.ts';

function watched() {
  const clock = new FakeClock(Date.UTC(2026, 1, 3, 4, 5, 6));
  const changes: (string | undefined)[] = [];
  const calls = new Calls({ clock, leastMs: 100, onChange: (cause) => changes.push(cause) });
  const pass = (ms: number, ok: boolean) => {
    clock.advance(ms);
    if (ok) calls.answered(1);
    else calls.failed('no answer within 100 ms');
  };
  return { calls, changes, pass };
}

test('a Redis that stutters is one outage, from the third failure to a quarter of a minute without one', () => {
  const { calls, changes, pass } = watched();
  for (let i = 0; i < 60; i++) for (const ok of [true, true, true, true, false]) pass(400, ok);
  expect(changes).toEqual([
    '3 of 15 calls to Redis in the last minute failed, the last one: no answer within 100 ms',
  ]);
  expect(calls.condition.isWell()).toBe(false);
  expect(calls.condition.found()).toMatch(
    /^failing since 2026-02-03T04:05:12.000Z: 2[0-9] of 1[0-9]{2} calls to Redis in the last minute failed/,
  );
  pass(14_000, true);
  expect(calls.condition.isWell()).toBe(false);
  pass(1000, true);
  expect([calls.condition.isWell(), changes.length, changes[1]]).toEqual([true, 2, undefined]);
});

test('a failure now and then is not told', () => {
  const { calls, changes, pass } = watched();
  for (let i = 0; i < 100; i++) {
    pass(100, false);
    for (let j = 0; j < 150; j++) pass(10, true);
  }
  expect([calls.condition.isWell(), changes]).toEqual([true, []]);
});

test('when Redis is not asked any more that is told, however many calls went well before', () => {
  const { calls, changes, pass } = watched();
  for (let j = 0; j < 1000; j++) pass(10, true);
  for (let i = 0; i < 3; i++) pass(10, false);
  calls.gaveUp();
  expect(changes).toEqual([
    '3 of 1003 calls to Redis in the last minute failed, the last one: no answer within 100 ms',
  ]);
});

test('a cause is one line, and not a long one', () => {
  const { calls } = watched();
  for (let i = 0; i < 3; i++) calls.failed(`OOM\ncommand not allowed ${'x'.repeat(500)}`);
  expect(calls.condition.found()).toMatch(/: OOM command not allowed x{50,200}$/);
});
