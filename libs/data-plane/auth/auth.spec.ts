import { expect, test } from 'vitest';
import { presentedKey } from './core/credential-headers.ts';
import { firstDecisive, keyIdOf, maskKey, openKeyring, type AuthProvider, type KeyRecord } from './index.ts';

const day = 86_400_000;
const now = Date.UTC(2026, 0, 15);
const headerNames = ['authorization', 'x-api-key', 'api-key', 'x-goog-api-key'];

const record = (over: Partial<KeyRecord> = {}): KeyRecord => ({
  key: 'sk-test-0123456789',
  name: 'ci',
  userId: 'u1',
  status: 'active',
  startsAtMs: null,
  expiresAtMs: null,
  ...over,
});

test.each([
  [{ authorization: 'Bearer sk-1' }, 'sk-1'],
  [{ authorization: 'bearer  sk-1' }, 'sk-1'],
  [{ authorization: 'BEARER sk-1' }, 'sk-1'],
  [{ authorization: 'Basic abc' }, undefined],
  [{ authorization: 'Basic abc', 'x-api-key': 'sk-2' }, 'sk-2'],
  [{ 'x-api-key': ' sk-2 ' }, 'sk-2'],
  [{ 'api-key': 'sk-3' }, 'sk-3'],
  [{ 'x-goog-api-key': 'sk-4' }, 'sk-4'],
  [{ authorization: 'Bearer sk-1', 'x-api-key': 'sk-2' }, 'sk-1'],
  [{ 'x-api-key': '' }, undefined],
  [{}, undefined],
])('of %j the key is %s', (headers: Record<string, string>, key) => {
  expect(presentedKey((name) => headers[name], headerNames)).toBe(key);
});

test('a listed key is granted under its id, and its secret is shown nowhere', async () => {
  const verdict = await openKeyring([record()], () => now)('sk-test-0123456789');
  expect(verdict).toEqual({
    kind: 'granted',
    caller: { keyId: keyIdOf('sk-test-0123456789'), maskedKey: 'sk-t***6789', name: 'ci', userId: 'u1' },
  });
});

test.each([
  ['disabled', record({ status: 'disabled' }), 'key_not_active'],
  ['expired by status', record({ status: 'expired' }), 'key_not_active'],
  ['out of quota by status', record({ status: 'quota_exceeded' }), 'key_not_active'],
  ['expired a moment ago', record({ expiresAtMs: now }), 'key_not_active'],
  ['not valid yet', record({ startsAtMs: now + 1 }), 'key_not_active'],
])('a key that is %s is refused', async (_, key, code) => {
  expect(await openKeyring([key], () => now)(key.key)).toMatchObject({ kind: 'refused', code });
});

test('a key is valid from its start to just before its end', async () => {
  const key = record({ startsAtMs: now, expiresAtMs: now + day });
  expect(await openKeyring([key], () => now)(key.key)).toMatchObject({ kind: 'granted' });
  expect(await openKeyring([key], () => now + day - 1)(key.key)).toMatchObject({ kind: 'granted' });
});

test('the first provider that knows a key decides, also when it refuses', async () => {
  const grants: AuthProvider = openKeyring([record()], () => now);
  const refuses: AuthProvider = openKeyring([record({ status: 'disabled' })], () => now);
  expect(await firstDecisive([refuses, grants])(record().key)).toMatchObject({ kind: 'refused' });
  expect(await firstDecisive([grants, refuses])(record().key)).toMatchObject({ kind: 'granted' });
  expect(await firstDecisive([grants])('sk-unknown-0000')).toMatchObject({ code: 'invalid_api_key' });
});

test.each([
  ['sk-0123456789', 'sk-0***6789'],
  ['12345678', '***'],
  ['', '***'],
])('%j is masked as %s', (key, masked) => {
  expect(maskKey(key)).toBe(masked);
});
