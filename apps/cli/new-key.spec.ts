import { expect, test } from 'vitest';
import { newRecord, newSecret } from './new-key.ts';

const nowMs = Date.UTC(2026, 0, 15, 12);
const secret = 'sk-llmproxy-aaaabbbbccccddddeeeeffffgggghhhh';

test('a secret is sk-llmproxy- and 32 random letters and digits', () => {
  expect(newSecret()).toMatch(/^sk-llmproxy-[A-Za-z0-9]{32}$/);
  expect(new Set(Array.from({ length: 100 }, newSecret)).size).toBe(100);
});

test('what is not given is not limited, and the record holds only a mask of the secret', () => {
  expect(newRecord({ name: ' ci ' }, secret, nowMs)).toEqual({
    name: 'ci',
    masked_key: 'sk-l***hhhh',
    status: 'active',
    created_at: '2026-01-15T12:00:00.000Z',
    updated_at: '2026-01-15T12:00:00.000Z',
  });
});

test('every option has its place in the record', () => {
  const record = newRecord(
    {
      name: 'ci',
      user: 'u1',
      models: 'gpt-4o, llama-*',
      quota: '1_000_000',
      'quota-period': 'monthly',
      starts: '2026-02-01',
      expires: '2027-01-31T12:00:00+01:00',
      'allowed-ips': '10.0.0.0/8,2001:db8::/32',
      'denied-ips': '10.1.2.3',
      rps: '5',
      burst: '10',
      rpm: '0',
      tpm: '100000',
      'max-concurrent': '4',
    },
    secret,
    nowMs,
  );
  expect(record).toMatchObject({
    user_id: 'u1',
    allowed_models: ['gpt-4o', 'llama-*'],
    total_quota: 1_000_000,
    quota_reset_period: 'monthly',
    starts_at: '2026-02-01T00:00:00.000Z',
    expires_at: '2027-01-31T11:00:00.000Z',
    allowed_ips: ['10.0.0.0/8', '2001:db8::/32'],
    denied_ips: ['10.1.2.3'],
    limits: {
      requests_per_second: 5,
      burst_size: 10,
      requests_per_minute: 0,
      tokens_per_minute: 100_000,
      max_concurrent: 4,
    },
  });
});

test.each([
  ['30d', '2026-02-14T12:00:00.000Z'],
  ['90m', '2026-01-15T13:30:00.000Z'],
  ['2026-01-16', '2026-01-16T00:00:00.000Z'],
])('--expires %s is %s', (expires, expected) => {
  expect(newRecord({ name: 'ci', expires }, secret, nowMs).expires_at).toBe(expected);
});

test.each([
  [{}, 'give the key a name'],
  [{ name: '  ' }, 'give the key a name'],
  [{ name: 'ci', quota: '1e6' }, '--quota takes a whole number'],
  [{ name: 'ci', quota: '-1' }, '--quota takes a whole number'],
  [{ name: 'ci', quota: '' }, '--quota is empty'],
  [{ name: 'ci', models: '' }, '--models is empty'],
  [{ name: 'ci', models: ' ' }, '--models is empty'],
  [{ name: 'ci', models: 'gpt-4o,,' }, '--models has an empty entry'],
  [{ name: 'ci', 'allowed-ips': '' }, '--allowed-ips is empty'],
  [{ name: 'ci', 'denied-ips': ',' }, '--denied-ips has an empty entry'],
  [{ name: 'ci', user: '' }, '--user is empty'],
  [{ name: 'ci', rpm: '99999999999999999999' }, '--rpm takes a whole number'],
  [{ name: 'ci', 'quota-period': 'yearly' }, '--quota-period is one of daily, weekly, monthly, never'],
  [{ name: 'ci', expires: 'tomorrow' }, '--expires takes a date'],
  [{ name: 'ci', expires: '2027-02-30T99:00:00Z' }, '--expires takes a date'],
  [{ name: 'ci', expires: '2026-01-15' }, '--expires lies in the past'],
  [{ name: 'ci', expires: '999999999999d' }, '--expires takes a date'],
  [{ name: 'ci', 'allowed-ips': '10.0.0.0/8,10.0.0.0/33' }, '--allowed-ips: "10.0.0.0/33" is no address'],
])('%j is refused: %s', (options, message) => {
  expect(() => newRecord(options, secret, nowMs)).toThrow(message);
});
