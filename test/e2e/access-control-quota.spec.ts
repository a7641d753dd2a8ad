/** Quotas move: what is used is taken from them, and a new period gives it back. */
import { limitKeys } from '@llmproxy/limit-state';
import { hashOfKey, keyIdOfHash } from '@llmproxy/key-store';
import { openai } from '@llmproxy/fake-backend';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bearer, outcomeOf, startGuarded, type Guarded } from './harness/authenticated.ts';
import { llmproxy } from './harness/refused-config.ts';
import { until } from './harness/until.ts';

const keys = {
  listed: 'sk-e2e-quota-listed',
  daily: 'sk-e2e-quota-daily',
  usedBefore: 'sk-e2e-quota-before',
};
const yesterday = new Date(Date.now() - 36 * 3_600_000).toISOString();

const resources = new AsyncDisposableStack();
let guarded: Guarded;
let redis: ReturnType<typeof connectRedis>;

beforeAll(async () => {
  guarded = resources.use(
    await startGuarded({
      // An answer of 400 tokens, or none at all: reservations are not what is tested here.
      rate_limit: { redis_timeout: '20s', on_redis_failure: 'deny', default_max_tokens: 0 },
      auth: {
        pipeline: [
          {
            name: 'keys',
            type: 'static',
            static: {
              keys: [
                { key: keys.listed, total_quota: 1_000 },
                { key: keys.daily, total_quota: 1_000, quota_reset_period: 'daily' },
                {
                  key: keys.usedBefore,
                  total_quota: 1_000,
                  used_quota: 5_000,
                  quota_reset_period: 'daily',
                  last_reset_at: yesterday,
                },
              ],
            },
          },
          { name: 'store', type: 'builtin' },
        ],
      },
    }),
  );
  guarded.backend.on('/v1/chat/completions', openai.chat({ promptTokens: 100, completionTokens: 300 }));
  redis = connectRedis({ url: guarded.redisUrl, connectionName: 'tests', whenDown: 'queue' });
  resources.defer(() => closeRedis(redis));
});
afterAll(() => resources.disposeAsync());

const become = (key: string) => outcomeOf(guarded.gateway.address, bearer(key));
const tagOf = (key: string) => `k:${keyIdOfHash(hashOfKey(key))}`;
const used = async (key: string) => Number(await redis.hget(limitKeys.quota(tagOf(key)), 'used'));

/** Three answers of 400 tokens each are one too many for 1,000. */
async function useUp(key: string): Promise<void> {
  for (const tokens of [400, 800, 1_200]) {
    expect(await become(key)).toBe('200');
    await until('its use is counted', async () => (await used(key)) === tokens);
  }
  expect(await become(key)).toBe('429 insufficient_quota');
}

describe('5 · the quota of a key', () => {
  test('of a key in the config is used up by what backends report', () => useUp(keys.listed));

  test('of a key in the store is used up by what backends report', async () => {
    await useUp(await llmproxy(guarded.folder, 'keys', 'add', '--name', 'metered', '--quota', '1000'));
  });

  test('starts again with its period', async () => {
    await useUp(keys.daily);
    const startOfYesterday = Date.now() - (Date.now() % 86_400_000) - 86_400_000;
    await redis.hset(limitKeys.quota(tagOf(keys.daily)), 'start', startOfYesterday);
    expect(await become(keys.daily)).toBe('200');
    await until('the new period is counted', async () => (await used(keys.daily)) === 400);
  });

  test('is not touched by what was used in an earlier period', async () => {
    expect(await become(keys.usedBefore)).toBe('200');
    await until('its use is counted', async () => (await used(keys.usedBefore)) === 400);
  });
});
