/** Who is calling: nobody gets another's address, key, limits or name by writing a header. */
import { openai } from '@llmproxy/fake-backend';
import { describe, expect, test } from 'vitest';
import { bearer, chatPath, outcomeOf, startGuarded } from './harness/authenticated.ts';
import { fetchText } from './harness/http-client.ts';
import { metricSum } from './harness/metrics.ts';
import { until } from './harness/until.ts';
import { takeEvents } from './harness/usage-events.ts';

const staticKeys = (...keys: Record<string, unknown>[]) => [
  { name: 'keys', type: 'static', static: { keys } },
];
const key = 'sk-e2e-identity-of-someone';
const other = 'sk-e2e-identity-of-another';

describe('11 · credentials and backends', () => {
  test('a backend gets its own credential, and neither the key nor a name that the client chose', async () => {
    await using guarded = await startGuarded(
      {
        auth: {
          header_names: ['Authorization', 'x-api-key', 'X-Team-Key'],
          pipeline: staticKeys({ key, user_id: 'someone' }),
        },
      },
      { api_key: 'sk-backend-credential', headers: { 'X-Tenant': 'ours' } },
    );
    const claims = {
      'X-API-Key-UserID': 'forged-user',
      'X-API-Key-Name': 'forged-name',
      'X-Forwarded-User': 'forged-user',
      'X-Tenant': 'forged-tenant',
    };
    const withKey = [
      bearer(key),
      { 'X-API-Key': key },
      { 'x-team-key': key },
      { ...bearer(key), 'X-API-Key': key },
    ];
    for (const headers of withKey) {
      expect(await outcomeOf(guarded.gateway.address, { ...headers, ...claims })).toBe('200');
    }
    expect(guarded.backend.requests).toHaveLength(withKey.length);
    for (const { rawHeaders, header, target, body } of guarded.backend.requests) {
      expect(header('authorization')).toBe('Bearer sk-backend-credential');
      expect(header('x-tenant')).toBe('ours');
      expect(`${target} ${rawHeaders.join(' ')} ${body}`).not.toMatch(/identity-of-someone|forged/);
    }
  });

  test('a backend without a credential gets none', async () => {
    await using guarded = await startGuarded({ auth: { pipeline: staticKeys({ key }) } });
    expect(await outcomeOf(guarded.gateway.address, bearer(key))).toBe('200');
    expect(guarded.backend.requests[0]?.header('authorization')).toBeUndefined();
  });
});

describe('12 · the address of a client', () => {
  const auth = { pipeline: staticKeys({ key, allowed_ips: ['203.0.113.7'] }) };
  const become = (address: string, headers: Record<string, string>) =>
    outcomeOf(address, { ...bearer(key), ...headers });

  test('is not what a stranger writes into X-Forwarded-For or X-Real-IP', async () => {
    await using guarded = await startGuarded({ auth, server: { trusted_proxies: ['10.0.0.0/8'] } });
    const { address, output } = guarded.gateway;
    for (const name of ['X-Forwarded-For', 'X-Real-IP', 'Forwarded', 'CF-Connecting-IP', 'True-Client-IP']) {
      const value = name === 'Forwarded' ? 'for=203.0.113.7' : '203.0.113.7';
      expect([name, await become(address, { [name]: value })]).toEqual([name, '403 ip_not_allowed']);
    }
    await until('the access log', () => output.stdout.match(/"msg":"request"/g)?.length === 5);
    expect(output.stdout).not.toContain('203.0.113.7');
  });

  test('is what a trusted proxy says last, whatever the client wrote before', async () => {
    await using guarded = await startGuarded({ auth, server: { trusted_proxies: ['127.0.0.0/8'] } });
    const { address } = guarded.gateway;
    expect(await become(address, { 'X-Forwarded-For': '203.0.113.7' })).toBe('200');
    expect(await become(address, { 'X-Forwarded-For': '198.51.100.1, 203.0.113.7' })).toBe('200');
    expect(await become(address, { 'X-Real-IP': '203.0.113.7' })).toBe('200');
    expect(await become(address, { 'X-Forwarded-For': '203.0.113.7, 127.0.0.9' })).toBe('200');
    expect(await become(address, { 'X-Forwarded-For': '203.0.113.7, 198.51.100.1' })).toBe(
      '403 ip_not_allowed',
    );
    expect(await become(address, { 'X-Forwarded-For': '203.0.113.7, unknown' })).toBe('403 ip_not_allowed');
    expect(await become(address, { 'X-Forwarded-For': '198.51.100.1', 'X-Real-IP': '203.0.113.7' })).toBe(
      '403 ip_not_allowed',
    );
  });
});

describe('13 · headers of your own', () => {
  test('limits and usage follow the key that was let in, not one in another header', async () => {
    await using guarded = await startGuarded({
      rate_limit: { redis_timeout: '20s', on_redis_failure: 'deny' },
      usage: { enabled: true, reporters: [{ name: 'sql', type: 'database', database: { storage: 'main' } }] },
      auth: {
        header_names: ['X-Team-Key'],
        pipeline: staticKeys(
          { key, user_id: 'someone', limits: { requests_per_minute: 3 } },
          { key: other, user_id: 'another', limits: { requests_per_minute: 1 } },
        ),
      },
    });
    const { address, management } = guarded.gateway;
    guarded.backend.on(chatPath, openai.chat({ promptTokens: 1, completionTokens: 2 }));
    const pretending = { 'X-Team-Key': key, ...bearer(other), 'X-API-Key': other };
    const outcomes = [];
    for (let i = 0; i < 4; i++) outcomes.push(await outcomeOf(address, pretending));
    expect(outcomes).toEqual(['200', '200', '200', '429 rate_limit_exceeded']);
    expect(await outcomeOf(address, { 'X-Team-Key': other, ...bearer(key) })).toBe('200');
    expect(await outcomeOf(address, { 'X-Team-Key': other, ...bearer(key) })).toBe('429 rate_limit_exceeded');

    const events = await takeEvents(guarded.redisUrl, 4);
    expect(events.map(({ user_id: user }) => user).sort()).toEqual([
      'another',
      'someone',
      'someone',
      'someone',
    ]);
    expect(await metricSum(management, 'llmproxy_rate_limit_refusals_total', { scope: 'key' })).toBe(2);
  });

  test('a key in a header that is not in the list is no key', async () => {
    await using guarded = await startGuarded({
      auth: { header_names: ['X-Team-Key'], pipeline: staticKeys({ key }) },
    });
    expect(await outcomeOf(guarded.gateway.address, bearer(key))).toBe('401 invalid_api_key');
    expect(await outcomeOf(guarded.gateway.address, { 'X-API-Key': key })).toBe('401 invalid_api_key');
    expect(await outcomeOf(guarded.gateway.address, { 'x-team-KEY': key })).toBe('200');
  });
});

describe('16 · metrics', () => {
  const auth = { pipeline: staticKeys({ key }) };

  test('are not on the listener of clients where operators have their own, and hold no key or credential', async () => {
    const credentials = { api_key: 'sk-backend-credential', headers: { 'X-Tenant': 'sk-backend-header' } };
    await using guarded = await startGuarded({ auth }, credentials);
    const { address, management } = guarded.gateway;
    expect(await outcomeOf(address, bearer(key))).toBe('200');
    expect(await outcomeOf(address, bearer('sk-e2e-guessed'))).toBe('401 invalid_api_key');
    for (const headers of [{}, bearer(key)]) {
      expect((await fetchText(address, '/metrics', { headers })).status).toBe(404);
    }
    const { status, text } = await fetchText(management, '/metrics', { headers: {} });
    expect(status).toBe(200);
    expect(text).toContain('llmproxy_requests_total{');
    expect(text).not.toMatch(/sk-e2e|sk-backend/);
  });

  test.each([
    ['for operators', { listen: '127.0.0.1:0' }],
    ['for clients', {}],
  ])('are nowhere when they are switched off, with the listener %s', async (_, management) => {
    await using guarded = await startGuarded({
      auth,
      metrics: { enabled: false },
      management: { listen: undefined, ...management },
    });
    const { address, management: operators } = guarded.gateway;
    for (const listener of [address, operators].filter((one) => one !== undefined)) {
      expect((await fetchText(listener, '/metrics', { headers: bearer(key) })).status).toBe(404);
      expect((await fetchText(listener, '/livez', { headers: {} })).status).toBe(200);
    }
    expect(await outcomeOf(address, bearer(key))).toBe('200');
  });
});
