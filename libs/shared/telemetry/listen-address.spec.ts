import { expect, test } from 'vitest';
import { parseListen } from './listen-address.ts';

test.each([
  [':8000', { host: undefined, port: 8000 }],
  ['8000', { host: undefined, port: 8000 }],
  ['127.0.0.1:0', { host: '127.0.0.1', port: 0 }],
  ['[::1]:8000', { host: '::1', port: 8000 }],
  ['unix:/run/gateway.sock', { path: '/run/gateway.sock' }],
])('a listener can be named %s', (text, address) => {
  expect(parseListen(text)).toEqual(address);
});

test.each(['', 'host', ':99999', '::1:80', 'a:b:1'])('%j is refused with the spellings that work', (text) => {
  expect(() => parseListen(text)).toThrow(/use ":8000"/);
});
