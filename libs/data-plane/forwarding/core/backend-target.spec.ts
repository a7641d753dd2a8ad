import { expect, test } from 'vitest';
import { backendTarget } from './backend-target.ts';

const pathOf = (target: string) => target.replace(/^https?:\/\/[^/]*/i, '').split('?', 1)[0] ?? '';

test.each([
  ['', '/v1/x', '/v1/x'],
  ['/base', '/v1/x', '/base/v1/x'],
  ['/base', '/v1/x?a=1', '/base/v1/x?a=1'],
  ['', 'http://gateway/v1/x?a=1', '/v1/x?a=1'],
  ['', '/v1/x?', '/v1/x'],
  ['', '/v1/x?b=2&a=%41&a=&&x=%&y+z=%2B', '/v1/x?b=2&a=%41&a=&&x=%&y+z=%2B'],
  ['', '/v1/x?a=1?b=2', '/v1/x?a=1?b=2'],
])('behind %j the target %s is %s', (prefix, target, seen) => {
  expect(backendTarget(prefix, pathOf(target), target)).toBe(seen);
});

test.each([
  'key=canary',
  'KEY=canary',
  'api_key=canary',
  'api-key=canary',
  'apikey=canary',
  'Api%5FKey=canary',
  '%6bey=canary',
  'access_token=canary',
  'token=canary',
  'key=canary=canary',
  'key=canary&key=canary',
])('a credential in the query does not reach the backend: %s', (pair) => {
  expect(backendTarget('', '/v1/x', `/v1/x?${pair}`)).toBe('/v1/x');
  expect(backendTarget('', '/v1/x', `/v1/x?a=%20&${pair}&b=`)).toBe('/v1/x?a=%20&b=');
});

test.each(['keys=1', 'monkey=1', 'max_tokens=5', 'a=key', 'after=token'])(
  'a parameter that only looks like a credential stays: %s',
  (pair) => {
    expect(backendTarget('', '/v1/x', `/v1/x?${pair}`)).toBe(`/v1/x?${pair}`);
  },
);
