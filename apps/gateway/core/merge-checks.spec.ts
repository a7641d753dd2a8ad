import { expect, test } from 'vitest';
import { mergeChecks } from './merge-checks.ts';

const early = 'failing since 2026-02-03T04:05:06.000Z: OOM';
const late = 'failing since 2026-02-03T04:09:00.000Z: no answer within 1000 ms';
const mended = 'ok; failed last at 2026-02-03T04:00:00.000Z: OOM';
const mendedLater = 'ok; failed last at 2026-02-03T04:01:00.000Z: READONLY';

test.each<[string, string[], string]>([
  ['all well', ['ok', 'ok'], 'ok'],
  ['one that has had its failure', ['ok', mended], mended],
  ['two that have had theirs', [mendedLater, mended], mendedLater],
  ['one that fails', ['ok', late, mended], `1 of 3 workers: ${late}`],
  ['all fail: the longest', [late, early], early],
  ['words of its own', ['not connected (reconnecting)'], 'not connected (reconnecting)'],
])('of %s', (_, found, merged) => {
  expect(mergeChecks(found.map((queue) => ({ queue })))).toEqual({ queue: merged });
});

test('the events that each worker has spooled are added up', () => {
  const spooled = (outage: string, events: number) => `${outage}; ${events} events spooled since then`;
  const found = [spooled(early, 0), spooled(late, 2), spooled(late, 1), 'ok'];
  expect(mergeChecks(found.map((queue) => ({ queue })))).toEqual({
    queue: `3 of 4 workers: ${spooled(early, 3)}`,
  });
});

test('a check that only some workers have is judged by those', () => {
  expect(mergeChecks([{ redis: 'ok', keys: 'ok' }, { redis: late }])).toEqual({
    redis: `1 of 2 workers: ${late}`,
    keys: 'ok',
  });
  expect(mergeChecks([])).toEqual({});
});
