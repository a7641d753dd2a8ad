import { expect, test } from 'vitest';
import { afterCall, afterProbe, beforeProbe, closedCircuit, type Circuit } from './circuit.ts';

const rules = { failuresMax: 3, openMs: 1000 };
const after = (calls: readonly boolean[]): Circuit =>
  calls.reduce<Circuit>((circuit, ok) => afterCall(circuit, ok, 5000, rules), closedCircuit);

test.each<[calls: boolean[], expected: Circuit]>([
  [[false, false], { state: 'closed', failures: 2 }],
  [[false, false, true, false], { state: 'closed', failures: 1 }],
  [[false, false, false], { state: 'open', untilMs: 6000 }],
  [[false, false, false, true, true], { state: 'open', untilMs: 6000 }],
])('after calls %j Redis is %j', (calls, expected) => {
  expect(after(calls)).toEqual(expected);
});

test('an open circuit is probed when its time has come, and the probe decides', () => {
  const open: Circuit = { state: 'open', untilMs: 6000 };
  expect(beforeProbe(open, 5999)).toEqual(open);
  expect(beforeProbe(open, 6000)).toEqual({ state: 'half-open' });
  expect(afterProbe({ state: 'half-open' }, true, 6010, rules)).toEqual(closedCircuit);
  expect(afterProbe({ state: 'half-open' }, false, 6010, rules)).toEqual({ state: 'open', untilMs: 7010 });
});
