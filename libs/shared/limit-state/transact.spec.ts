import { closeRedis, connectRedis } from '@llmproxy/redis';
import { redisForTests } from '@llmproxy/real-services';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LimitScope } from './core/batch.ts';
import { transactInMemory, type Store } from './core/model.ts';
import { limitKeys, transact } from './index.ts';
import { History, randomHistory, randomScopes } from './random-history.ts';

let place: Awaited<ReturnType<typeof redisForTests>>;
let redis: ReturnType<typeof connectRedis>;

beforeAll(async () => {
  place = await redisForTests();
  redis = connectRedis({ url: place.url, connectionName: 'spec', whenDown: 'queue' });
});

afterAll(async () => {
  await closeRedis(redis);
  await place[Symbol.asyncDispose]();
});

async function stored(tags: readonly string[]) {
  const of = async (tag: string) => {
    const leases = await redis.zrange(limitKeys.leases(tag), 0, -1);
    const { used = '0', reserved = '0', end = '0' } = await redis.hgetall(limitKeys.quota(tag));
    return { leases: leases.sort(), used: Number(used), reserved: Number(reserved), end: Number(end) };
  };
  return Promise.all(tags.map(of));
}

const inMemory = (store: Store, tags: readonly string[]) =>
  tags.map((tag) => {
    const scope = store.get(tag);
    const { used = 0, reserved = 0, endMs: end = 0 } = scope?.quota ?? {};
    return { leases: [...(scope?.leases.keys() ?? [])].sort(), used, reserved, end };
  });

test('the script and its model agree on every reply and on all that they keep', async () => {
  await fc.assert(
    fc.asyncProperty(randomScopes, randomHistory, async (scopes, history) => {
      await redis.flushdb();
      const store: Store = new Map();
      const lives = new History(scopes);
      const tags = scopes.map(({ tag }: LimitScope) => tag);
      for (const [afterMs, steps] of history) {
        const batch = lives.batch(afterMs, steps);
        if (batch.ops.length === 0) continue;
        const replies = await transact(redis, batch, lives.nowMs);
        expect(replies).toEqual(transactInMemory(store, batch, lives.nowMs));
        lives.note(replies);
      }
      expect(await stored(tags)).toEqual(inMemory(store, tags));
    }),
    { numRuns: 200 },
  );
});
