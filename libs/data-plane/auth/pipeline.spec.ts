import { GatewayError } from '@llmproxy/errors';
import { FakeClock } from '@llmproxy/time';
import { describe, expect, test } from 'vitest';
import { authorizeModel, keyIdOf, openKeyring, openPipeline } from './index.ts';
import type { AuthProblem, Decide, KeyData, KeyProvider, KeySource } from './index.ts';
import { inboundWith } from './testing/inbound.ts';

const now = Date.UTC(2026, 0, 15, 12);
const secret = 'sk-test-0123456789';
const ip = '203.0.113.7';

const listed = (data: KeyData = {}, key = secret) => openKeyring([{ key, ...data }], now);
const unreachable: KeySource = { lookup: () => Promise.reject(new Error(`cannot ask for ${secret}`)) };
const asked = (
  source: KeySource,
  over: Partial<{ onError: 'deny' | 'skip'; decide: Decide; ttlMs: number }> = {},
): KeyProvider => ({
  name: 'asked',
  source,
  decide: over.decide,
  onError: over.onError ?? 'deny',
  timeoutMs: 1000,
  cache: { ttlMs: over.ttlMs ?? 1000, negativeTtlMs: 1000, entriesMax: 10 },
});
const knows = (data: KeyData | undefined): KeySource => ({ lookup: () => data });

function open(options: Partial<Parameters<typeof openPipeline>[0]> & { providers: KeyProvider[] }) {
  const problems: AuthProblem[] = [];
  const onProblem = (problem: AuthProblem) => problems.push(problem);
  const clock = new FakeClock(now);
  const pipeline = openPipeline({ mode: 'first_match', clock, onProblem, ...options });
  /** The caller, or code, status and message of the refusal. */
  const check = async (key = secret, from = ip) => {
    try {
      return await pipeline.check(key, from, inboundWith());
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      return {
        code: error.code,
        status: error.statusIn('openai'),
        message: error.message,
        headers: error.headers,
      };
    }
  };
  return { pipeline, check, problems, clock };
}

const one = (data: KeyData, overrides = {}) =>
  open({ providers: [{ name: 'keys', source: listed(data) }], overrides });

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

describe('a hook', () => {
  const hooked = (decide: Decide, data: KeyData = {}) =>
    open({ providers: [{ name: 'keys', source: listed(data), decide }] });

  test('decides in place of status, times, addresses, quota and balance', async () => {
    const data = { status: 'disabled', expires_at: '2020-01-01', denied_ips: [ip], balance: 0 };
    expect(await hooked(() => ({ allow: true }), data).check()).toMatchObject({ keyId: keyIdOf(secret) });
  });

  test('sees the data with the key, the request, and what earlier hooks said', async () => {
    const seen: unknown[] = [];
    const decide: Decide = (data, request, metadata) => {
      seen.push({ data, path: request.path, ip: request.ip, metadata });
      return { allow: true, metadata: { ['step' + seen.length]: true, user_id: 'u' + seen.length } };
    };
    const providers = [
      { name: 'a', source: listed({ name: 'ci' }), decide },
      { name: 'b', source: 'presented' as const, decide },
    ];
    const { check } = open({ mode: 'all', providers });
    expect(await check()).toMatchObject({ name: 'ci', userId: 'u2', metadata: { step1: true, step2: true } });
    const path = '/v1/chat/completions';
    expect(seen).toEqual([
      { data: { name: 'ci', key: secret }, path, ip, metadata: {} },
      { data: { api_key: secret }, path, ip, metadata: { step1: true, user_id: 'u1' } },
    ]);
  });

  test('that says no is answered with 403 and its message, which is nothing to log', async () => {
    const { check, problems } = hooked(() => ({ allow: false, message: 'top up' }));
    expect(await check()).toMatchObject({ status: 403, code: 'access_denied', message: 'top up' });
    expect(problems).toEqual([]);
  });

  test('that fails denies; the log has the reason, the client neither reason nor stack', async () => {
    const { check, problems } = hooked(() => {
      throw new Error(`attempt to index nil with ${secret}\nstack traceback: …`);
    });
    expect(await check()).toMatchObject({
      code: 'access_denied',
      message: 'Access is denied for this API key.',
    });
    expect(problems).toMatchObject([{ kind: 'hook_failed' }]);
    expect(problems[0]?.reason).toMatch(/^attempt to index nil with \*\*\*/);
  });

  test.each(['false', 'true', 1, null, undefined])('whose allow is %j denies', async (allow) => {
    expect(await hooked(() => ({ allow }) as never).check()).toMatchObject({ code: 'access_denied' });
  });

  test('cannot let in what its source refuses', async () => {
    const { check } = open({
      providers: [asked(knows({ allow: false }), { decide: () => ({ allow: true }) })],
    });
    expect(await check()).toMatchObject({ code: 'access_denied' });
  });

  test('alone judges every key that is presented', async () => {
    const decide: Decide = (data) => ({ allow: String(data.api_key).startsWith('sk-team-') });
    const { check } = open({ providers: [{ name: 'lua', source: 'presented', decide }] });
    expect(await check('sk-team-1')).toMatchObject({ keyId: keyIdOf('sk-team-1') });
    expect(await check('sk-other-1')).toMatchObject({ code: 'access_denied' });
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
