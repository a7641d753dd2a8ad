import { describe, expect, test } from 'vitest';
import { authorizeModel, keyIdOf, type KeyData, type KeyProvider } from './index.ts';
import { inboundWith } from './testing/inbound.ts';
import { asked, ip, knows, listed, now, one, open, secret, unreachable } from './testing/pipelines.ts';

test('a listed key is let in under its id, at once, and its secret is shown nowhere', () => {
  const { pipeline } = one({ name: 'ci', user_id: 'u1' });
  const caller = pipeline.check(secret, ip, inboundWith());
  expect(caller).toMatchObject({
    keyId: keyIdOf(secret),
    maskedKey: 'sk-t***6789',
    name: 'ci',
    userId: 'u1',
    ip,
  });
  expect(JSON.stringify(caller)).not.toContain(secret);
});

test('a listed key brings its limits, quota and models', async () => {
  const caller = await one({
    limits: { requests_per_minute: 60 },
    total_quota: 1000,
    used_quota: 10,
    quota_reset_period: 'daily',
    allowed_models: ['gpt-4*'],
  }).check();
  expect(caller).toMatchObject({
    allowance: {
      rates: { requestsPerMinute: 60, tokensPerMinute: null },
      quota: { total: 1000, used: 10, period: 'daily', lastResetAtMs: now },
    },
  });
});

describe('the answer to each outcome', () => {
  test.each([
    [{ status: 'disabled' }, 403, 'key_not_active', 'This API key is disabled.'],
    [{ status: 'quota_exceeded' }, 429, 'insufficient_quota', 'The quota of this API key is used up.'],
    [{ status: 'expired' }, 403, 'key_not_active', 'This API key has expired.'],
    [
      { expires_at: '2026-01-15' },
      403,
      'key_not_active',
      'This API key expired at 2026-01-15T00:00:00.000Z.',
    ],
    [
      { starts_at: '2999-01-01' },
      403,
      'key_not_active',
      'This API key is not valid before 2999-01-01T00:00:00.000Z.',
    ],
    [{ denied_ips: [ip] }, 403, 'ip_not_allowed', 'This API key may not be used from your address.'],
    [{ balance: 0 }, 429, 'insufficient_quota', 'The quota of this API key is used up.'],
  ])('a key with %j gets %s %s', async (data, status, code, message) => {
    expect(await one(data).check()).toMatchObject({ status, code, message });
  });

  test('an unknown key gets 401', async () => {
    expect(await one({}).check('sk-unknown-0000')).toMatchObject({ status: 401, code: 'invalid_api_key' });
  });

  test('clients are told not to try a used-up quota again', async () => {
    expect(await one({ balance: 0 }).check()).toMatchObject({ headers: { 'x-should-retry': 'false' } });
  });

  test('an operator chooses code and message', async () => {
    const overrides = {
      expired: { httpCode: 402, message: 'renew at example.com' },
      not_found: { httpCode: 403 },
    };
    const { check } = one({ status: 'expired' }, overrides);
    expect(await check()).toMatchObject({
      status: 402,
      code: 'key_not_active',
      message: 'renew at example.com',
    });
    expect(await check('sk-unknown-0000')).toMatchObject({ status: 403, code: 'invalid_api_key' });
  });

  test('an operator lets an outcome pass; an unknown key is nobody then', async () => {
    const overrides = { expired: { allow: true }, not_found: { allow: true } };
    const { check } = one({ status: 'expired', name: 'ci' }, overrides);
    expect(await check()).toMatchObject({ name: 'ci' });
    expect(await check('sk-unknown-0000')).toMatchObject({ keyId: null, maskedKey: null, ip });
  });
});

test('a listed key with a field that cannot be read is disabled, and the operator hears of it', async () => {
  const { check, problems } = one({ expires_at: 'soon' });
  expect(await check()).toMatchObject({ code: 'key_not_active' });
  expect(problems).toEqual([
    { kind: 'key_unreadable', provider: 'keys', keyId: keyIdOf(secret), reason: 'expires_at' },
  ]);
});

test('a key whose source misspells a limit is refused, and the operator hears of the name, not of the value', async () => {
  const { check, problems } = open({ providers: [asked(knows({ limits: { requests_per_min: 4711 } }))] });
  expect(await check()).toMatchObject({ code: 'key_not_active' });
  const reason = 'limits.requests_per_min (no such limit)';
  expect(problems).toMatchObject([{ kind: 'key_unreadable', keyId: keyIdOf(secret), reason }]);
});

describe('first_match', () => {
  test('the first provider that knows a key decides, also when it refuses', async () => {
    const grants = { name: 'a', source: listed() };
    const refuses = { name: 'b', source: listed({ status: 'disabled' }) };
    expect(await open({ providers: [refuses, grants] }).check()).toMatchObject({ code: 'key_not_active' });
    expect(await open({ providers: [grants, refuses] }).check()).toMatchObject({ keyId: keyIdOf(secret) });
  });

  test('a provider that does not know the key passes it on', async () => {
    const { check } = open({
      providers: [asked(knows(undefined)), { name: 'b', source: listed({ name: 'b' }) }],
    });
    expect(await check()).toMatchObject({ name: 'b' });
  });

  test('one that cannot answer is skipped where the operator says so, and the next decides', async () => {
    const { check, problems } = open({
      providers: [asked(unreachable, { onError: 'skip' }), { name: 'b', source: listed({ name: 'b' }) }],
    });
    expect(await check()).toMatchObject({ name: 'b' });
    expect(problems).toEqual([
      {
        kind: 'source_failed',
        provider: 'asked',
        keyId: keyIdOf(secret),
        reason: 'asked: cannot ask for ***',
      },
    ]);
  });

  test('a key that nobody else knows is not called unknown while a provider cannot answer', async () => {
    const { check } = open({ providers: [asked(unreachable, { onError: 'skip' }), asked(knows(undefined))] });
    expect(await check()).toMatchObject({
      status: 503,
      code: 'auth_unavailable',
      headers: { 'retry-after': '1' },
    });
  });

  test('one that cannot answer refuses everyone where the operator says so', async () => {
    const { check } = open({ providers: [asked(unreachable), { name: 'b', source: listed() }] });
    expect(await check()).toMatchObject({ code: 'auth_unavailable' });
  });
});

describe('all', () => {
  const all = (...providers: KeyProvider[]) => open({ mode: 'all', providers });
  const listedKey = (data: KeyData = {}): KeyProvider => ({ name: 'listed', source: listed(data) });

  test('every provider that knows the key must let it in', async () => {
    expect(await all(listedKey(), asked(knows({ status: 1 }))).check()).toMatchObject({
      code: 'key_not_active',
    });
    expect(await all(listedKey(), asked(knows({ status: 0 }))).check()).toMatchObject({
      keyId: keyIdOf(secret),
    });
  });

  test('one provider has to know the key, the others need not', async () => {
    expect(await all(listedKey(), asked(knows(undefined))).check()).toMatchObject({ keyId: keyIdOf(secret) });
    expect(await all(asked(knows(undefined))).check()).toMatchObject({ code: 'invalid_api_key' });
  });

  test('a provider that is down lets nobody pass, unless the operator says so', async () => {
    expect(await all(listedKey(), asked(unreachable)).check()).toMatchObject({ code: 'auth_unavailable' });
    expect(await all(listedKey(), asked(unreachable, { onError: 'skip' })).check()).toMatchObject({
      name: null,
    });
  });

  test('the tighter of two bounds holds', async () => {
    const caller = await all(
      listedKey({
        allowed_models: ['gpt-*'],
        limits: { requests_per_minute: 60, max_concurrent: -1 },
        user_id: 'u1',
      }),
      asked(
        knows({ allowed_models: ['gpt-4o', 'llama'], limits: { requests_per_minute: 90 }, total_quota: 5 }),
      ),
    ).check();
    if (!('keyId' in caller)) throw new Error('refused');
    expect(caller.userId).toBe('u1');
    expect(['gpt-4o', 'gpt-3.5', 'llama'].map((model) => caller.allowedModels?.(model))).toEqual([
      true,
      false,
      false,
    ]);
    expect(caller.allowance?.rates).toMatchObject({ requestsPerMinute: 60, maxConcurrent: null });
    expect(caller.allowance?.quota).toMatchObject({ total: 5 });
  });
});

test('a key may use its models and no other, and has to name one', async () => {
  const caller = await one({ allowed_models: ['gpt-4*'] }).check();
  if (!('keyId' in caller)) throw new Error('refused');
  expect(() => authorizeModel(caller, 'gpt-4o')).not.toThrow();
  expect(() => authorizeModel(caller, 'llama-3')).toThrow(/may not use the model "llama-3"/);
  expect(() => authorizeModel(caller, null)).toThrow(/name one/);
  const overrides = { model_denied: { message: 'ask for access', httpCode: 404 } };
  expect(() => authorizeModel(caller, 'llama-3', overrides)).toThrow('ask for access');
  expect(() => authorizeModel({ ...caller, allowedModels: null }, null)).not.toThrow();
});

test('the quota that a listed key has used counts for the period in which it was read', async () => {
  const dayMs = 86_400_000;
  const quotaPeriodStart = (_: string, nowMs: number) => Math.floor(nowMs / dayMs) * dayMs;
  const source = listed({ total_quota: 100, used_quota: 100, quota_reset_period: 'daily' });
  const { check, clock } = open({ providers: [{ name: 'keys', source }], quotaPeriodStart });
  expect(await check()).toMatchObject({ code: 'insufficient_quota' });
  clock.advance(dayMs);
  expect(await check()).toMatchObject({ keyId: keyIdOf(secret) });
});
