import { closeRedis, connectRedis } from '@llmproxy/redis';
import { redisForTests } from '@llmproxy/real-services';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LimitScope } from './core/batch.ts';
import { transactInMemory, type Store } from './core/model.ts';
import type { Rates } from './core/open-scope.ts';
import { limitKeys, transact } from './index.ts';
import { History, randomHistory, randomScopes } from './random-history.ts';

type Rate = Rates[keyof Rates];

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
    const leases = await redis.zrange(limitKeys.leases(tag), 0, -1, 'WITHSCORES');
    const rates = await redis.getBuffer(limitKeys.rates(tag));
    const quota = await redis.hgetall(limitKeys.quota(tag));
    const numbers = ['used', 'reserved', 'start', 'end'].map((field) => Number(quota[field] ?? 0));
    return { leases: leases.sort(), rates: rates && doublesOf(rates), quota: numbers };
  };
  return Promise.all(tags.map(of));
}

const doublesOf = (bytes: Buffer) => Array.from({ length: 8 }, (_, at) => bytes.readDoubleLE(8 * at));

const inMemory = (store: Store, tags: readonly string[]) =>
  tags.map((tag) => {
    const { leases = new Map<string, number>(), rates, quota } = store.get(tag) ?? {};
    const { used = 0, reserved = 0, startMs = 0, endMs = 0 } = quota ?? {};
    return {
      leases: [...leases].flatMap(([name, expiryMs]) => [name, String(expiryMs)]).sort(),
      rates: rates === undefined ? null : [rates.bucket, rates.requests, rates.tokens].flatMap(doubles),
      quota: [used, reserved, startMs, endMs],
    };
  });

const doubles = (rate: Rate): number[] =>
  'level' in rate ? [rate.level, rate.atMs] : [rate.startMs, rate.previous, rate.current];

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
        const done = await transact(redis, batch, lives.nowMs);
        expect(done).toEqual(transactInMemory(store, batch, lives.nowMs));
        lives.note(done.replies);
      }
      expect(await stored(tags)).toEqual(inMemory(store, tags));
    }),
    { numRuns: 200 },
  );
});
