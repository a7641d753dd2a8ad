import { limitKeys } from '@llmproxy/limit-state';
import { redisForTests } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { signOfLife, signOfLifeInMemory } from './alive.ts';

test('the script and its model count the same workers alive', async () => {
  await using place = await redisForTests();
  const redis = connectRedis({ url: place.url, connectionName: 'spec', whenDown: 'queue' });
  const signs = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.nat(20_000)), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(signs, async (history) => {
      await redis.del(limitKeys.workers);
      const workers = new Map<string, number>();
      let nowMs = Date.now();
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
