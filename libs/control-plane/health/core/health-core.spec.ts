import fc from 'fast-check';
import { expect, test } from 'vitest';
import { probeDelay, shortestGap } from './probe-timing.ts';
import { afterProbe, unprobed, type Health } from './thresholds.ts';

const rules = { unhealthyThreshold: 3, healthyThreshold: 2 };

/** `+` success, `-` failure; the answer is one letter per probe: Healthy or Unhealthy. */
function courseOf(probes: string, thresholds = rules): string {
  let health: Health = unprobed;
  return [...probes]
    .map((probe) => {
      health = afterProbe(health, probe === '+', thresholds);
      return health.healthy ? 'H' : 'U';
    })
    .join('');
}

test.each([
  ['+', 'H'],
  ['-', 'H'],
  ['---', 'HHU'],
  ['--+--', 'HHHHH'],
  ['---+', 'HHUU'],
  ['---++', 'HHUUH'],
  ['---+-+', 'HHUUUU'],
  ['---++---', 'HHUUHHHU'],
])('with 3 failures down and 2 successes up, the probes %s lead to %s', (probes, course) => {
  expect(courseOf(probes)).toBe(course);
});

test('with thresholds of 1 every probe decides', () => {
  expect(courseOf('-+-', { unhealthyThreshold: 1, healthyThreshold: 1 })).toBe('UHU');
});

test('health changes only after as many probes in a row as its threshold asks for', () => {
  const threshold = fc.integer({ min: 1, max: 5 });
  fc.assert(
    fc.property(
      threshold,
      threshold,
      fc.array(fc.boolean()),
      (unhealthyThreshold, healthyThreshold, probes) => {
        let health: Health = unprobed;
        probes.forEach((ok, index) => {
          const next = afterProbe(health, ok, { unhealthyThreshold, healthyThreshold });
          if (next.healthy !== health.healthy) {
            const run = health.healthy ? unhealthyThreshold : healthyThreshold;
            expect(probes.slice(index + 1 - run, index + 1)).toEqual(
              Array.from({ length: run }, () => next.healthy),
            );
          }
          health = next;
        });
      },
    ),
  );
});

test.each([
  [0.1, 0, 0],
  [0.1, 0.5, 500],
  [0.1, 1, 1000],
  [0, 0.7, 0],
  [1, 0.5, 5000],
])(
  'of an interval of 10 s with jitter %d and the random number %d, %d ms are waited',
  (jitter, random, ms) => {
    expect(probeDelay({ intervalMs: 10_000, jitter }, random)).toBe(ms);
  },
);

test.each([
  [0, 5000],
  [0.1, 4500],
  [0.9, 1000],
  [1, 1000],
])('with jitter %d a probe within %d ms of the last one is one too many', (jitter, ms) => {
  expect(shortestGap({ intervalMs: 10_000, jitter })).toBe(ms);
});
