import { expect, test } from 'vitest';
import { evaluateKey } from './evaluate-key.ts';
import type { KeyData } from './key-fields.ts';
import { keyTermsOf } from './key-terms.ts';

const now = Date.UTC(2026, 0, 15, 12);
const midnight = Date.UTC(2026, 0, 15);
const seconds = (atMs: number) => atMs / 1000;

const outcomeOf = (data: KeyData, ip = '203.0.113.7') =>
  evaluateKey(keyTermsOf(data), now, ip, () => midnight);

test.each([
  [{}, 'active'],
  [{ status: 'disabled' }, 'disabled'],
  [{ status: 'expired' }, 'expired'],
  [{ status: 'quota_exceeded' }, 'quota_exceeded'],
  [{ status: 'whatever' }, 'disabled'],
  [{ starts_at: '2999-01-01' }, 'not_started'],
  [{ starts_at: seconds(now) }, 'active'],
  [{ starts_at: seconds(now + 1000) }, 'not_started'],
  [{ expires_at: seconds(now) }, 'expired'],
  [{ expires_at: seconds(now + 1000) }, 'active'],
  [{ expires_at: '2026-01-15T12:00:01Z' }, 'active'],
  [{ expires_at: '2026-01-15 11:59:59' }, 'expired'],
  [{ expires_at: 'whenever' }, 'disabled'],
  [{ allowed_ips: ['203.0.113.0/24'] }, 'active'],
  [{ allowed_ips: ['198.51.100.0/24'] }, 'ip_denied'],
  [{ denied_ips: ['203.0.113.7'] }, 'ip_denied'],
  [{ denied_ips: ['203.0.113.7'], allowed_ips: ['203.0.113.0/24'] }, 'ip_denied'],
  [{ denied_ips: ['198.51.100.0/24'] }, 'active'],
  [{ total_quota: 100, used_quota: 99 }, 'active'],
  [{ total_quota: 100, used_quota: 100 }, 'quota_exceeded'],
  [{ total_quota: 0 }, 'quota_exceeded'],
  [{ total_quota: -1, used_quota: 100 }, 'active'],
  [{ balance: 0.01 }, 'active'],
  [{ balance: 0 }, 'quota_exceeded'],
  [{ balance: '-3' }, 'quota_exceeded'],
])('a key with %j is %s', (data, outcome) => {
  expect(outcomeOf(data)).toBe(outcome);
});

test('what speaks against a key is told in a fixed order', () => {
  const data: Record<string, unknown> = {
    status: 'disabled',
    starts_at: '2999-01-01',
    expires_at: '2020-01-01',
    denied_ips: ['203.0.113.7'],
    total_quota: 1,
    used_quota: 1,
    balance: 0,
  };
  const told = [];
  for (const field of ['status', 'starts_at', 'expires_at', 'denied_ips', 'total_quota', 'balance']) {
    told.push(outcomeOf(data));
    delete data[field];
  }
  expect(told).toEqual([
    'disabled',
    'not_started',
    'expired',
    'ip_denied',
    'quota_exceeded',
    'quota_exceeded',
  ]);
  expect(outcomeOf(data)).toBe('active');
});

test.each([
  [{ denied_ips: ['198.51.100.0/24'] }, 'ip_denied'],
  [{ allowed_ips: ['0.0.0.0/0'] }, 'ip_denied'],
  [{}, 'active'],
])('a client without a readable address meets %j: %s', (data, outcome) => {
  expect(outcomeOf(data, '')).toBe(outcome);
});

test('addresses are told apart by family, however they are spelled', () => {
  expect(outcomeOf({ allowed_ips: ['2001:db8::/32'] }, '2001:db8::7')).toBe('active');
  expect(outcomeOf({ allowed_ips: ['203.0.113.7'] }, '::ffff:203.0.113.7')).toBe('active');
  expect(outcomeOf({ allowed_ips: ['::/0'] }, '203.0.113.7')).toBe('ip_denied');
});

test.each([
  ['2026-01-15T00:00:00Z', 'daily', 'quota_exceeded'],
  ['2026-01-14T23:59:59Z', 'daily', 'active'],
  ['2026-01-14T23:59:59Z', 'never', 'quota_exceeded'],
  [null, 'daily', 'quota_exceeded'],
])('a quota used up since %s, reset %s: %s', (last_reset_at, quota_reset_period, outcome) => {
  expect(outcomeOf({ total_quota: 100, used_quota: 100, quota_reset_period, last_reset_at })).toBe(outcome);
});
