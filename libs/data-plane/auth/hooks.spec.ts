import { describe, expect, test } from 'vitest';
import { keyIdOf, type Decide, type KeyData } from './index.ts';
import { asked, ip, knows, listed, open, secret } from './testing/pipelines.ts';

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
