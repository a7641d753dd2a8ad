import { expect, test } from 'vitest';
import { OpenRequests } from './open-requests.ts';

test('a request is renewed every ten seconds for as long as it is open', () => {
  const open = new OpenRequests();
  const [long, short] = [
    { renewedMs: 0, held: [] },
    { renewedMs: 0, held: [] },
  ];
  open.add(long, 1000);
  open.add(short, 2000);
  expect(open.takeDue(10_999)).toEqual([]);
  expect(open.takeDue(11_000)).toEqual([long]);
  open.remove(short);
  expect(open.takeDue(20_999)).toEqual([]);
  expect(open.takeDue(21_000)).toEqual([long]);
});

test('many requests are renewed a part at a time, the one that waits longest first', () => {
  const open = new OpenRequests();
  const requests = Array.from({ length: 600 }, () => ({ renewedMs: 0, held: [] }));
  for (const request of requests) open.add(request, 0);
  const taken = [open.takeDue(10_000), open.takeDue(10_250), open.takeDue(10_500)];
  expect(taken.map(({ length }) => length)).toEqual([256, 256, 88]);
  expect(taken.flat()).toEqual(requests);
});

test('how many hold something in a scope is known whenever somebody asks', () => {
  const open = new OpenRequests();
  const request = (...tags: string[]) => {
    const holds = tags.map((_, scope) => ({ scope, flags: 8 }));
    const scopes = tags.map((tag) => ({ tag }));
    return { renewedMs: 0, held: [{ scopes, lease: { id: 'r', tokens: 0, atMs: 0, holds } }] };
  };
  const [one, other] = [request('g', 'k:1'), request('g')];
  open.add(one, 0);
  expect([open.in('g'), open.in('k:1'), open.in('k:2')]).toEqual([1, 1, 0]);
  open.add(other, 0);
  open.takeDue(10_000);
  expect([open.in('g'), open.in('k:1')]).toEqual([2, 1]);
  open.remove(one);
  open.remove(one);
  expect([open.in('g'), open.in('k:1')]).toEqual([1, 0]);
  open.countNoMore();
  open.remove(other);
  expect(open.in('g')).toBe(0);
});
