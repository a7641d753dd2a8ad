import { createLogger } from '@llmproxy/telemetry';
import { FakeClock } from '@llmproxy/time';
import { expect, test, vi } from 'vitest';
import { openAuthProblems } from './auth-problems.ts';

function open(...providers: string[]) {
  const log = createLogger({ level: 'error', app: 'spec' });
  const told: string[] = [];
  for (const level of ['info', 'warn'] as const)
    vi.spyOn(log, level).mockImplementation((fields: unknown, message?: string) => {
      told.push(`${level} ${message} ${JSON.stringify(fields)}`);
    });
  const clock = new FakeClock(0);
  return { ...openAuthProblems(log, providers, clock), told, clock };
}

const failed = (provider: string) =>
  ({ kind: 'source_failed', provider, keyId: 'k1', reason: 'connection lost' }) as const;

test('an outage of a source is two lines, however many requests meet it', () => {
  const { onProblem, onAnswer, found, told } = open('shop', 'crm');
  expect(found()).toBe('ok');
  for (let request = 0; request < 1000; request++) onProblem(failed('shop'));
  expect(found()).toMatch(/^shop failing since \d{4}-.*Z: connection lost$/);
  onAnswer('crm');
  expect(found()).toMatch(/^shop failing/);
  onAnswer('shop');
  expect(found()).toMatch(/^ok; failed last at .*: connection lost$/);
  expect(told).toEqual([
    'warn the source of keys does not answer {"provider":"shop","cause":"connection lost"}',
    'info the source of keys answers again {"provider":"shop"}',
  ]);
});

test('a source that answers every other request is not two lines each', () => {
  const { onProblem, onAnswer, told, clock } = open('shop');
  for (let second = 0; second < 30; second++) {
    onProblem(failed('shop'));
    onAnswer('shop');
    clock.advance(1000);
  }
  expect(told).toHaveLength(6);
});

test('the problem of a single key is told once a minute', () => {
  const { onProblem, told, clock } = open('shop');
  const damaged = (keyId: string) =>
    onProblem({ kind: 'key_unreadable', provider: 'shop', keyId, reason: 'expires_at' });
  damaged('k1');
  damaged('k1');
  damaged('k2');
  expect(told).toHaveLength(2);
  clock.advance(60_000);
  damaged('k1');
  expect(told).toHaveLength(3);
});
