import { anonymous, type Caller } from '@llmproxy/auth';
import { createPeriods } from '@llmproxy/time';
import { expect, test } from 'vitest';
import { createLimitScopes, type LimitRules } from './limit-scopes.ts';

const noon = Date.UTC(2026, 2, 15, 12);
const day = 86_400_000;

const rules = (over: Partial<LimitRules> = {}): LimitRules => ({
  global: undefined,
  perKey: undefined,
  perIp: undefined,
  backends: new Map(),
  quotaShadow: false,
  periods: createPeriods('UTC'),
  nowMs: () => noon,
  ...over,
});

const noRates = {
  requestsPerSecond: null,
  burstSize: null,
  requestsPerMinute: null,
  tokensPerMinute: null,
  maxConcurrent: null,
};

const caller = (allowance: Caller['allowance'], ip = '192.0.2.7'): Caller => ({
  ...anonymous,
  keyId: 'id',
  ip,
  allowance,
});

test('without limits a request meets none', () => {
  const scopes = createLimitScopes(rules());
  expect(scopes.of(caller({ rates: null, quota: null }))).toEqual([]);
  expect(scopes.backend('a')).toBeUndefined();
});

test('what a key brings replaces the same setting for all keys, and only that', () => {
  const perKey = {
    limits: { requestsPerSecond: 1, burst: 7, requestsPerMinute: 60, maxConcurrent: 3 },
    shadow: true,
  };
  const scopes = createLimitScopes(rules({ perKey }));
  const own = { ...noRates, requestsPerSecond: 5, requestsPerMinute: Infinity, tokensPerMinute: 1000 };
  expect(scopes.of(caller({ rates: own, quota: null }))).toEqual([
    {
      tag: 'k:id',
      shadow: true,
      limits: {
        requestsPerSecond: 5,
        burst: undefined,
        requestsPerMinute: undefined,
        tokensPerMinute: 1000,
        maxConcurrent: 3,
      },
    },
  ]);
});

test('where keys are not limited, their own limits are not either, but their quotas are', () => {
  const quota = { total: 100, used: 0, period: 'never' as const, lastResetAtMs: null };
  const allowance = { rates: { ...noRates, requestsPerMinute: 1 }, quota };
  expect(createLimitScopes(rules()).of(caller(allowance))).toMatchObject([
    { limits: {}, quota: { total: 100 } },
  ]);
});

test('a client with an IPv6 network is one client', () => {
  const scopes = createLimitScopes(rules({ perIp: { limits: { requestsPerSecond: 1 }, shadow: false } }));
  const [first] = scopes.of({ ...anonymous, ip: '2001:db8:1:2::3' });
  const [second] = scopes.of({ ...anonymous, ip: '2001:db8:1:2:9:9:9:9' });
  expect(first?.tag).toBe(second?.tag);
});

test('a quota follows the calendar: in the next period it starts at its new beginning, without what was used before', () => {
  let nowMs = noon;
  const scopes = createLimitScopes(rules({ nowMs: () => nowMs }));
  const quota = { total: 100, used: 40, period: 'daily' as const, lastResetAtMs: noon - day / 4 };
  const allowance = { rates: { ...noRates, requestsPerMinute: 1 }, quota };
  const quotaNow = () => scopes.of(caller(allowance))[0]?.quota;
  expect(quotaNow()).toEqual({
    total: 100,
    used: 40,
    periodStartMs: noon - day / 2,
    periodEndMs: noon + day / 2,
    shadow: false,
  });
  nowMs = noon + day / 2 - 1;
  expect(quotaNow()).toMatchObject({ used: 40 });
  nowMs = noon + day / 2;
  expect(quotaNow()).toMatchObject({ total: 100, used: 0, periodStartMs: noon + day / 2 });
});

test('limits of all kinds are met together, the key last', () => {
  const one = { limits: { maxConcurrent: 1 }, shadow: false };
  const scopes = createLimitScopes(
    rules({ global: one, perIp: one, perKey: one, backends: new Map([['gpu', one]]) }),
  );
  expect(scopes.of(caller({ rates: null, quota: null })).map(({ tag }) => tag)).toEqual([
    'g',
    'ip:192.0.2.7',
    'k:id',
  ]);
  expect(scopes.backend('gpu')?.tag).toBe('b:gpu');
});
