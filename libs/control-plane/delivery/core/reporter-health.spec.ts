import { expect, test } from 'vitest';
import { afterDelivery, afterFailure, type ReporterHealth } from './reporter-health.ts';

/** `+` a delivery, `-` a failed attempt; what is reported at each step. */
function statesAfter(steps: string): string {
  let health: ReporterHealth = { state: 'delivering' };
  return [...steps]
    .map((step) => {
      health = step === '+' ? afterDelivery(health) : afterFailure(health, 'answered 503');
      return health.state === 'failing' ? 'f' : 'd';
    })
    .join('');
}

test.each([
  ['+++', 'ddd', 'deliveries keep it delivering'],
  ['---+++', 'fffffd', 'three deliveries in a row end a failure'],
  ['-+-+-+-+', 'ffffffff', 'one that fails every other time stays failing: one message, not eight'],
])('%s is reported as %s: %s', (steps, states) => {
  expect(statesAfter(steps)).toBe(states);
});

test('a failure remembers how many attempts it has cost', () => {
  const twice = afterFailure(afterFailure({ state: 'delivering' }, 'answered 500'), 'answered 503');
  expect(twice).toEqual({ state: 'failing', cause: 'answered 503', failedAttempts: 2, deliveredInARow: 0 });
});
