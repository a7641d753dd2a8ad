import { expect, test } from 'vitest';
import { presentedKey } from './credential-headers.ts';

const headerNames = ['authorization', 'x-api-key', 'api-key', 'x-goog-api-key'];

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
