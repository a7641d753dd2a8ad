import { limitKeys } from '@llmproxy/limit-state';
import { redisForTests } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { signOfLife, signOfLifeInMemory } from './alive.ts';

test('the script and its model count the same workers alive', async () => {
  await using place = await redisForTests();
  const redis = connectRedis({ url: place.url, connectionName: 'spec', whenDown: 'queue' });
  // The clock may go back, for years too.
  const afterMs = fc.oneof(fc.nat(20_000), fc.constantFrom(-5_000, -100_000_000_000));
  const signs = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), afterMs), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(signs, async (history) => {
      await redis.del(limitKeys.workers);
      const workers = new Map<string, number>();
      let nowMs = 1_800_000_000_000;
      for (const [worker, afterMs] of history) {
        nowMs += afterMs;
        const sign = { worker, ttlMs: 15_000, nowMs };
        expect(await signOfLife(redis, sign)).toBe(signOfLifeInMemory(workers, sign));
      }
    }),
    { numRuns: 50 },
  );
  await closeRedis(redis);
});

test('a dead worker shares no longer than usual, although the clock went back an hour after its last sign', () => {
  const workers = new Map<string, number>();
  const sign = (worker: string, nowMs: number) =>
    signOfLifeInMemory(workers, { worker, ttlMs: 15_000, nowMs });
  sign('dead', 7_200_000);
  expect(sign('a', 3_600_000)).toBe(2);
  expect(sign('a', 3_614_999)).toBe(2);
  expect(sign('a', 3_615_000)).toBe(1);
});
