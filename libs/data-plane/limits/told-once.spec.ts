/** What Redis is told of what was granted without it: all of it, once, and without waiting for another request. */
import { transactInMemory, type LimitScope } from '@llmproxy/limit-state';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { granted } from './for-specs.ts';
import type { LimitServer } from './limit-server.ts';
import { openLimiterOn, type Limiter } from './limiter.ts';
import { fakeTime, ScriptedServer, type Spell } from './scripted-server.ts';

beforeEach(() => vi.useFakeTimers(fakeTime));
afterEach(() => vi.useRealTimers());

const spell = (kind: Spell['kind'], ms: number): Spell => ({ kind, ms, lateMs: 1 });
const quota = { total: 1_000_000, used: 0, periodStartMs: 1, periodEndMs: 0, shadow: false };
const key = (at: number): LimitScope => ({ tag: `k:${at}`, limits: { requestsPerMinute: 5 }, quota });

/** Redis is well for two seconds, then what the spells say, then well. */
async function during(spells: readonly Spell[]) {
  const server = new ScriptedServer();
  const opening = openLimiterOn(server.connect([spell('late', 2000), ...spells]), {
    worker: 'w',
    onFailure: 'local',
  });
  await vi.advanceTimersByTimeAsync(2500);
  return { server, limiter: await opening };
}

/** How many pass. */
async function use(limiter: Limiter, scopes: readonly LimitScope[]): Promise<number> {
  const asked = scopes.map((scope, at) => limiter.admit({ id: `r:${at}`, tokens: 100, scopes: [scope] }));
  await vi.advanceTimersByTimeAsync(1500); // longer than any deadline
  const passed = granted(await Promise.all(asked));
  for (const { handle } of passed) limiter.settle(handle, 100);
  return passed.length;
}

async function close(limiter: Limiter): Promise<void> {
  const closed = limiter.close();
  await vi.advanceTimersByTimeAsync(5000);
  await closed;
}

test('what was granted without a connection is told when there is one, although no other request comes', async () => {
  const { server, limiter } = await during([spell('cut', 3000)]);
  expect(await use(limiter, [key(0)])).toBe(1);
  await vi.advanceTimersByTimeAsync(5000);
  expect(server.store.get('k:0')?.quota?.used).toBe(100);
  await close(limiter);
});

test('what is told again, because the connection broke before the answer, counts once against a quota', async () => {
  // Redis is asked again a second after it was given up; at one of these moments it runs the charge and cannot answer.
  for (let ms = 480; ms < 520; ms++) {
    const { server, limiter } = await during([spell('cut', 1000), spell('late', ms), spell('mute', 2000)]);
    const other = { tag: 'k:other', limits: { requestsPerMinute: 1000 } };
    for (let i = 0; i < 3; i++) {
      void limiter.admit({ id: `other:${i}`, tokens: 1, scopes: [other] });
      await vi.advanceTimersByTimeAsync(1);
    }
    expect(limiter.isRedisAsked()).toBe(false);
    const [passed] = granted([await limiter.admit({ id: 'r', tokens: 100, scopes: [key(0)] })]);
    if (passed) limiter.settle(passed.handle, 100);
    await vi.advanceTimersByTimeAsync(10_000);
    await use(limiter, [other]);
    expect(server.store.get('k:0')?.quota?.used, `after ${ms} ms`).toBe(100);
    await close(limiter);
  }
});

test('in an outage 15,000 keys are limited, and each is charged with what it used', async () => {
  const { server, limiter } = await during([spell('cut', 5000)]);
  const count = 15_000;
  const keys = Array.from({ length: count }, (_, at) => key(at));
  expect(await use(limiter, keys)).toBe(count);
  expect(
    await use(
      limiter,
      Array.from({ length: 10 }, () => key(0)),
    ),
  ).toBe(4);
  await vi.advanceTimersByTimeAsync(10_000);
  const used = keys.map(({ tag }) => server.store.get(tag)?.quota?.used ?? 0);
  expect(used.reduce((sum, tokens) => sum + tokens, 0)).toBe((count + 4) * 100);
  await close(limiter);
});

test('on a cluster the server that is dead is not asked again for each answer of the others', async () => {
  const store: Parameters<typeof transactInMemory>[0] = new Map();
  let askedDead = 0;
  const cluster: LimitServer = {
    isCluster: true,
    isReady: () => true,
    untilReady: () => Promise.resolve(),
    transact: (batch) => {
      if (batch.scopes[0]?.tag !== 'k:1') return Promise.resolve(transactInMemory(store, batch, Date.now()));
      askedDead += 1;
      return Promise.reject(new Error('Connection is closed.'));
    },
    sign: () => Promise.resolve(1),
    leave: () => Promise.resolve(),
    noteTags: () => Promise.resolve(),
  };
  const limiter = await openLimiterOn(cluster, { worker: 'w', onFailure: 'local' });
  let asked = 0;
  const askAnother = async (everyMs: number) => {
    const admission = limiter.admit({ id: `other:${++asked}`, tokens: 1, scopes: [key(1 + asked)] });
    await vi.advanceTimersByTimeAsync(everyMs);
    return admission;
  };
  expect(await use(limiter, [key(1)])).toBe(1);
  while (asked < 100) await askAnother(100); // meanwhile what was granted is told, in vain
  const before = askedDead;
  expect(before).toBeGreaterThan(2);
  while (asked < 150) expect(await askAnother(1)).toMatchObject({ outcome: 'granted', by: 'redis' });
  expect(askedDead - before).toBeLessThanOrEqual(1); // once each second
  await close(limiter);
});
