import { describe, expect, test } from 'vitest';
import { keyTermsOf } from './key-terms.ts';

describe('status', () => {
  test.each([
    [undefined, 'active'],
    [null, 'active'],
    ['', 'active'],
    ['active', 'active'],
    ['enabled', 'active'],
    ['ACTIVE', 'active'],
    [' Enabled ', 'active'],
    [0, 'active'],
    ['0', 'active'],
    ['disabled', 'disabled'],
    ['Disabled', 'disabled'],
    [1, 'disabled'],
    ['1', 'disabled'],
    ['quota_exceeded', 'quota_exceeded'],
    [2, 'quota_exceeded'],
    ['expired', 'expired'],
    ['3', 'expired'],
  ])('%j is %s', (status, meaning) => {
    expect(keyTermsOf({ status })).toMatchObject({ status: meaning, unreadable: [] });
  });

  test.each(['banned', 4, -1, '1e0', true, false, {}, 'constructor'])(
    '%j is unknown, so the key is disabled',
    (status) => {
      expect(keyTermsOf({ status })).toMatchObject({ status: 'disabled', unreadable: ['status'] });
    },
  );
});

test('a source that says nothing sets no bounds', () => {
  expect(keyTermsOf({})).toEqual({
    name: null,
    userId: null,
    denial: null,
    status: 'active',
    startsAtMs: null,
    expiresAtMs: null,
    deniedIps: null,
    allowedIps: null,
    quota: null,
    balance: null,
    allowedModels: null,
    rates: null,
    unreadable: [],
  });
});

test('a JSON object, a Redis hash and an SQL row with the same content mean the same', () => {
  const json = keyTermsOf({
    name: 'ci',
    user_id: '42',
    status: 'active',
    expires_at: 1768478400,
    total_quota: 1000,
    used_quota: 10,
    quota_reset_period: 'daily',
    balance: 12.5,
    limits: { requests_per_minute: 60, burst_size: 5 },
  });
  const hash = keyTermsOf({
    name: 'ci',
    user_id: '42',
    status: '0',
    expire_at: '1768478400',
    quota: '1000',
    used: '10',
    quota_reset_period: 'Daily',
    balance: '12.50',
    limits: '{"requests_per_minute": 60, "burst_size": 5}',
  });
  const row = keyTermsOf({
    name: 'ci',
    user_id: 42,
    status: 0,
    expired_at: new Date(1768478400_000),
    total_quota: 1000n,
    used_quota: '10',
    quota_reset_period: 'daily',
    balance: '12.5000',
    rate_limit: { requests_per_minute: '60', burst_size: '5' },
  });
  expect(hash).toEqual(json);
  expect(row).toEqual(json);
});

test.each([
  [{ total_quota: 100 }, 100],
  [{ total_quota: 0 }, 0],
  [{ total_quota: '0' }, 0],
  [{ total_quota: -1 }, undefined],
  [{ total_quota: null }, undefined],
  [{}, undefined],
])('%j is a quota of %s', (data, total) => {
  expect(keyTermsOf(data).quota?.total).toBe(total);
});

test('a limit is unset, none, or a number, of which 0 blocks everything', () => {
  expect(
    keyTermsOf({ limits: { requests_per_second: -1, requests_per_minute: 0, max_concurrent: 3 } }).rates,
  ).toEqual({
    requestsPerSecond: Infinity,
    burstSize: null,
    requestsPerMinute: 0,
    tokensPerMinute: null,
    maxConcurrent: 3,
  });
});

test.each([
  ['[]', null],
  ['', null],
  ['10.0.0.0/8, 192.168.1.7', true],
  ['["10.0.0.0/8"]', true],
  [['10.0.0.0/8'], true],
])('allowed_ips %j', (allowed_ips, included) => {
  const { allowedIps, unreadable } = keyTermsOf({ allowed_ips });
  expect(allowedIps && allowedIps.includes('10.1.2.3')).toBe(included);
  expect(unreadable).toEqual([]);
});

test.each([
  [{ allowed_ips: ['10.0.0.0/8', 'office'] }, 'allowed_ips'],
  [{ allowed_ips: '["10.0.0.0/8"' }, 'allowed_ips'],
  [{ denied_ips: 7 }, 'denied_ips'],
  [{ expires_at: 'soon' }, 'expires_at'],
  [{ expired_at: 'soon' }, 'expires_at'],
  [{ starts_at: {} }, 'starts_at'],
  [{ total_quota: 'much' }, 'total_quota'],
  [{ used_quota: [] }, 'used_quota'],
  [{ total_quota: 1, quota_reset_period: 'hourly' }, 'quota_reset_period'],
  [{ balance: 'none' }, 'balance'],
  [{ balance: NaN }, 'balance'],
  [{ allowed_models: ['gpt-*-mini'] }, 'allowed_models'],
  [{ limits: 'gold' }, 'limits'],
  [{ limits: { tokens_per_minute: 'many' } }, 'limits.tokens_per_minute'],
  [{ limits: { request_per_minute: 60 } }, 'limits.request_per_minute (no such limit)'],
  [{ limits: '{"requestsPerMinute": 60, "max_concurrent": 2}' }, 'limits.requestsPerMinute (no such limit)'],
  [{ rate_limit: { rpm: '60' } }, 'limits.rpm (no such limit)'],
  [{ limits: { ['x'.repeat(100)]: 1 } }, `limits.${'x'.repeat(64)} (no such limit)`],
])('%j is not guessed at', (data, field) => {
  expect(keyTermsOf(data).unreadable).toEqual([field]);
});

test('where a hook may let in what cannot be read, models, limits and quota block all the same', () => {
  const terms = keyTermsOf({
    allowed_models: '*mini',
    limits: { requests_per_minute: '?' },
    total_quota: '?',
  });
  expect(terms.allowedModels?.('gpt-4o')).toBe(false);
  expect(terms.rates?.requestsPerMinute).toBe(0);
  expect(terms.quota?.total).toBe(0);
});

test.each([
  [{ allow: true }, null],
  [{ allow: 'true' }, null],
  [{ allow: 1 }, null],
  [{}, null],
  [{ allow: false }, ''],
  [{ allow: false, message: 'top up' }, 'top up'],
  [{ allow: 'false' }, ''],
  [{ allow: null }, ''],
  [{ allow: '' }, ''],
  [{ allow: 'yes' }, ''],
  [{ allow: {} }, ''],
])('of %j the refusal of the source is %j', (data, denial) => {
  expect(keyTermsOf(data).denial).toBe(denial);
});

test.each([
  [{ limits: 'gold' }],
  [{ rate_limit: [60], limits: { requests_per_minute: 60 } }],
  [{ limits: { request_per_minute: 60, max_concurrent: 5 } }],
])('where a hook may let in what cannot be read, the limits %j block all the same', (data) => {
  expect(keyTermsOf(data).rates).toEqual({
    requestsPerSecond: 0,
    burstSize: 0,
    requestsPerMinute: 0,
    tokensPerMinute: 0,
    maxConcurrent: 0,
  });
});

test('a limit without a value says nothing, whatever its name', () => {
  expect(keyTermsOf({ limits: { rpm: null, requests_per_minute: 60, rps: '' } })).toMatchObject({
    unreadable: [],
    rates: { requestsPerMinute: 60 },
  });
});
