import { expect, test } from 'vitest';
import { dutiesOf, type Duties, type StoredScope } from './duties.ts';

const minute = 60_000;
const now = 100 * minute;
const quiet: StoredScope = {
  expiredLeases: 0,
  overlongLeases: 0,
  periodEndMs: null,
  hasState: true,
  lastUseMs: 0,
};
const nothing: Duties = { reap: false, resetToMs: null, forget: false };

test.each<[string, Partial<StoredScope>, Partial<Duties>]>([
  ['a scope with state and nothing due is left alone', {}, {}],
  ['expired leases are ended', { expiredLeases: 1 }, { reap: true }],
  ['leases of a clock that has gone back are shortened', { overlongLeases: 1 }, { reap: true }],
  ['a period that has not ended is left alone', { periodEndMs: now + 1 }, {}],
  ['a period ends at its end', { periodEndMs: now }, { resetToMs: now }],
  ['a period that ended long ago is followed by its next one', { periodEndMs: 1 }, { resetToMs: 1 }],
  ['a scope of which nothing is left is forgotten', { hasState: false }, { forget: true }],
  ['but not while a use may be on its way', { hasState: false, lastUseMs: now - 2 * minute }, {}],
  ['nor when a clock is ahead', { hasState: false, lastUseMs: now + minute }, {}],
  [
    'a use that is far to come is of a clock that has gone back',
    { hasState: false, lastUseMs: 2 * now },
    { forget: true },
  ],
])('%s', (_guarantee, stored, due) => {
  expect(dutiesOf({ ...quiet, ...stored }, now)).toEqual({ ...nothing, ...due });
});
