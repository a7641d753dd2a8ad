import { expect, test } from 'vitest';
import { OpenRequests } from './open-requests.ts';

test('a request is renewed every ten seconds for as long as it is open', () => {
  const open = new OpenRequests();
  const [long, short] = [{ renewedMs: 0 }, { renewedMs: 0 }];
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
  const requests = Array.from({ length: 600 }, () => ({ renewedMs: 0 }));
  for (const request of requests) open.add(request, 0);
  const taken = [open.takeDue(10_000), open.takeDue(10_250), open.takeDue(10_500)];
  expect(taken.map(({ length }) => length)).toEqual([256, 256, 88]);
  expect(taken.flat()).toEqual(requests);
});
