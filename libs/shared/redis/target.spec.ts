import { expect, test } from 'vitest';
import { seedsOf } from './target.ts';

const seed = (host: string, port: number) => ({ host, port });

test.each([
  ['redis://a', [seed('a', 6379)], { isEncrypted: false }],
  ['redis://a:1,redis://b:2', [seed('a', 1), seed('b', 2)], { isEncrypted: false }],
  ['redis://a:1,b', [seed('a', 1), seed('b', 6379)], { isEncrypted: false }],
  ['rediss://[::1]:7/0,b:8', [seed('::1', 7), seed('b', 8)], { isEncrypted: true }],
  [
    'rediss://me:p%2Cw%40@a:1,b:2',
    [seed('a', 1), seed('b', 2)],
    { isEncrypted: true, username: 'me', password: 'p,w@' },
  ],
  ['redis://:pw@a:1,redis://:pw@b:2', [seed('a', 1), seed('b', 2)], { isEncrypted: false, password: 'pw' }],
])('the cluster at %s is found by %j with %j', (url, seeds, login) => {
  expect(seedsOf(url)).toEqual({ seeds, login });
});

test.each([
  'unix:///run/redis.sock',
  'redis://:secret@a:1/3',
  'redis://:secret@a:1,b:x',
  'http://a',
  'a:1',
  '',
])('a cluster cannot be at %s', (url) => {
  expect(() => seedsOf(url)).toThrow('is not the URL of a Redis Cluster: write redis://host:6379');
  expect(() => seedsOf(url)).not.toThrow('secret');
});
