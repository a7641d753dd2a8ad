/** What limits do when the clock of Redis is set: by the model, and by the script with the same times. */
import { redisForTests } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Batch, LimitScope, Transacted } from './core/batch.ts';
import { transactInMemory, type Store } from './core/model.ts';
import { holds, leaseMs, transact } from './index.ts';
import { isAdmitted, startMs } from './random-history.ts';

type Run = (batch: Batch, nowMs: number) => Promise<Transacted> | Transacted;

let ids = 0;

async function isGranted(run: Run, scope: LimitScope, nowMs: number, tokens = 1): Promise<boolean> {
  const op = { op: 'admit', id: `r:${++ids}`, tokens, scopes: [0] } as const;
  const { replies } = await run({ leaseMs, scopes: [scope], ops: [op] }, nowMs);
  const [reply] = replies;
  return reply !== undefined && isAdmitted(reply);
}

/** Asks every second, so that the step is noticed within one, on the clock that was set; returns after how many ms it was granted, at most `maxMs`. */
async function recovery(run: Run, scope: LimitScope, fromMs: number, maxMs: number): Promise<number> {
  for (let afterMs = 1000; afterMs <= maxMs; afterMs += 1000) {
    if (await isGranted(run, scope, fromMs + afterMs)) return afterMs;
  }
  return Infinity;
}

const inMemory = (): Run => {
  const store: Store = new Map();
  return (batch, nowMs) => transactInMemory(store, batch, nowMs);
};

const yearMs = 31_536_000_000;
const backMs = fc.oneof(
  fc.integer({ min: 1000, max: 200_000 }),
  fc.integer({ min: 200_000, max: 10 * yearMs }),
);
const limit = fc.integer({ min: 1, max: 30 });
const limited: fc.Arbitrary<[scope: LimitScope, withinMs: number]> = fc.oneof(
  limit.map((max): [LimitScope, number] => [{ tag: 'g', limits: { requestsPerMinute: max } }, 121_000]),
  limit.map((max): [LimitScope, number] => [{ tag: 'g', limits: { tokensPerMinute: max } }, 121_000]),
  limit.map((burst): [LimitScope, number] => [{ tag: 'g', limits: { requestsPerSecond: 1, burst } }, 2000]),
  // Its holders were killed.
  limit.map((max): [LimitScope, number] => [{ tag: 'g', limits: { maxConcurrent: max } }, leaseMs + 1000]),
);

async function recoversAfterStepBack(run: Run, [scope, withinMs]: [LimitScope, number], back: number) {
  while (await isGranted(run, scope, startMs));
  expect(await recovery(run, scope, startMs - back, withinMs)).toBeLessThanOrEqual(withinMs);
}

test('however far the clock goes back, a used-up limit recovers as one that was used up at that moment', async () => {
  await fc.assert(
    fc.asyncProperty(limited, backMs, async (of, back) => recoversAfterStepBack(inMemory(), of, back)),
  );
});

test('so it does in Redis', async () => {
  await using place = await redisForTests();
  const redis = connectRedis({ url: place.url, connectionName: 'spec', whenDown: 'queue' });
  const run: Run = (batch, nowMs) => transact(redis, batch, nowMs);
  for (const limits of [
    { requestsPerMinute: 3 },
    { tokensPerMinute: 3 },
    { requestsPerSecond: 1, burst: 3 },
    { maxConcurrent: 3 },
  ]) {
    await redis.flushdb();
    await recoversAfterStepBack(run, [{ tag: 'g', limits }, 121_000], yearMs);
  }
  await closeRedis(redis);
});

test('of a clock that is set forwards and back only its way forwards gives anything', async () => {
  const steps = fc.array(
    fc.tuple(fc.oneof(fc.nat(20_000), fc.integer({ min: -yearMs, max: yearMs })), fc.nat(40)),
    { maxLength: 20 },
  );
  await fc.assert(
    fc.asyncProperty(limit, steps, async (requestsPerMinute, history) => {
      const run = inMemory();
      const scope = { tag: 'g', limits: { requestsPerMinute } };
      let [nowMs, forwardsMs, granted] = [startMs, 0, 0];
      for (const [byMs, requests] of history) {
        nowMs += byMs;
        forwardsMs += Math.max(0, byMs);
        for (let i = 0; i < requests; i++) granted += Number(await isGranted(run, scope, nowMs));
      }
      expect(granted).toBeLessThanOrEqual(requestsPerMinute * (1 + Math.floor(forwardsMs / 60_000)));
    }),
  );
});

test('a quota whose next period was begun by a clock that ran ahead is reset when that period comes', async () => {
  const run = inMemory();
  const dayMs = 86_400_000;
  const quota = (periodStartMs: number) => ({
    tag: 'k:1',
    quota: { total: 10, used: 0, periodStartMs, periodEndMs: periodStartMs + dayMs, shadow: false },
  });
  const day = startMs - (startMs % dayMs);
  const ahead = day + 400 * dayMs;
  const use = async (periodStartMs: number, tokens: number) => {
    const ended = {
      id: 'ended',
      tokens: 0,
      atMs: 0,
      holds: [{ scope: 0, flags: holds.quota + holds.lease }],
    };
    const settle = { op: 'settle', lease: ended, used: tokens, again: false } as const;
    await run({ leaseMs, scopes: [quota(periodStartMs)], ops: [settle] }, periodStartMs + 1000);
  };
  await use(ahead, 4); // both clocks ran ahead
  await use(day, 6); // what was used stays
  expect(await isGranted(run, quota(day), day + 2000)).toBe(false);
  expect(await isGranted(run, quota(day + dayMs), day + dayMs, 10)).toBe(true);
});

test('a gateway whose clock is a little ahead begins a period once', async () => {
  const run = inMemory();
  const quota = (periodStartMs: number) => ({
    tag: 'k:1',
    quota: { total: 10, used: 0, periodStartMs, periodEndMs: 0, shadow: false },
  });
  expect(await isGranted(run, quota(startMs + 2000), startMs, 10)).toBe(true);
  expect(await isGranted(run, quota(startMs - 1000), startMs, 1)).toBe(false);
  expect(await isGranted(run, quota(startMs + 2000), startMs, 1)).toBe(false);
});
