import { holds, type LimitScope } from '@llmproxy/limit-state';
import { expect, test } from 'vitest';
import { LocalLimits } from './local-limits.ts';

const quota = { total: 1000, used: 0, periodStartMs: 1, periodEndMs: 0, shadow: false };
const minuteOf = (name: string): LimitScope => ({ tag: name, limits: { requestsPerMinute: 1 } });
const quotaOf = (name: string): LimitScope => ({ tag: name, limits: {}, quota });

function limitsFor(scopesMax: number) {
  const clock = { ms: 1_800_000_000_000 };
  const local = new LocalLimits(() => clock.ms, scopesMax);
  const ask = (scope: LimitScope) => {
    const call = { id: 'r', tokens: 10, scopes: [scope], alternatives: [] };
    const answer = local.admit(call, (same) => same);
    return answer === undefined ? 'no room' : answer.reply.granted;
  };
  return { clock, local, ask };
}

test('a new scope is refused rather than one forgotten of which something counts', () => {
  const { clock, ask } = limitsFor(2);
  expect([ask(minuteOf('a')), ask(minuteOf('b')), ask(minuteOf('c'))]).toEqual([true, true, 'no room']);
  clock.ms += 60_000; // of the minute before half counts
  expect([ask(minuteOf('c')), ask(minuteOf('a'))]).toEqual(['no room', false]);
  clock.ms += 60_000; // nothing does
  expect([ask(minuteOf('c')), ask(minuteOf('a')), ask(minuteOf('b'))]).toEqual([true, true, 'no room']);
});

test('the use of a quota takes room until Redis has heard of it, and one without room is not charged', () => {
  const { clock, local, ask } = limitsFor(1);
  const charge = (scope: LimitScope) => ({
    scope,
    flags: holds.quota,
    atMs: clock.ms,
    requests: 0,
    tokens: 5,
  });
  expect(local.charge(charge(quotaOf('a')))).toBe(true);
  clock.ms += 86_400_000;
  expect([ask(quotaOf('b')), local.charge(charge(quotaOf('b')))]).toEqual(['no room', false]);
  const told = local.charges.take();
  expect(told.map(({ scope, tokens }) => [scope.tag, tokens])).toEqual([['a', 5]]);
  for (const one of told) local.heard(one);
  expect(ask(quotaOf('b'))).toBe(true);
});
