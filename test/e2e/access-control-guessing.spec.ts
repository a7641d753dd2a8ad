/** Who guesses keys is kept out before anybody is asked, and leaves nothing behind. */
import { play, startFakeBackend, type FakeBackend } from '@llmproxy/fake-backend';
import { redisForTests } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bearer, changesAreHeard, chatPath, outcomeOf, startGuarded } from './harness/authenticated.ts';
import { startFleet, type Fleet } from './harness/fleet.ts';
import { fetchText } from './harness/http-client.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';

const known = 'sk-e2e-known-to-the-service';
let guesses = 0;
const guess = () => `sk-e2e-guess-${(guesses += 1)}`;

/** A service that knows one key. */
const startService = () =>
  startFakeBackend({
    plays: {
      '/keys': (request) =>
        (request.json() as { api_key: string }).api_key === known
          ? play.json({ status: 'active' })
          : play.json({}, { status: 404 }),
    },
  });
const asking = (service: FakeBackend, cache: Record<string, unknown> = {}) => ({
  name: 'service',
  type: 'webhook',
  webhook: { url: `${service.url}/keys` },
  cache,
});

/** Connections go to the workers in turn, so this reaches all of them, several times. */
const workersReached = 24;

describe('14 · guessing', () => {
  const resources = new AsyncDisposableStack();
  afterAll(() => resources.disposeAsync());
  let service: FakeBackend;
  let fleet: Fleet;
  beforeAll(async () => {
    const folder = resources.use(tempFolder()).path;
    const redis = resources.use(await redisForTests());
    const backend = resources.use(await startFakeBackend());
    service = resources.use(await startService());
    fleet = resources.use(
      await startFleet(2, {
        folder,
        redisUrl: redis.url,
        backends: [{ name: 'fake', url: backend.url }],
        config: {
          usage: { enabled: false, reporters: [] },
          auth: {
            pipeline: [asking(service)],
            failure_limit: { max_failures: 8, window: '10m', block: '10m' },
          },
        },
      }),
    );
  });

  test('an address that guesses is refused by every gateway, and the source of keys hears no more of it', async () => {
    expect(await outcomeOf(fleet.next(), bearer(known))).toBe('200');
    const tryOnce = () => outcomeOf(fleet.next(), bearer(guess()));
    await until('all workers refuse the address', async () => {
      for (let i = 0; i < workersReached; i++) {
        const outcome = await tryOnce();
        expect(outcome).toMatch(/^(?:401 invalid_api_key|429 rate_limit_exceeded)$/);
        if (outcome.startsWith('401')) return false;
      }
      return true;
    });
    const askedBefore = service.requests.length;
    // Four workers that counted by themselves would have asked for 8 keys each.
    expect(askedBefore).toBeLessThan(4 * 8);

    for (let i = 0; i < workersReached; i++) expect(await tryOnce()).toBe('429 rate_limit_exceeded');
    const withoutKey = await fetchText(fleet.next(), chatPath, { body: {}, headers: {} });
    expect(withoutKey.status).toBe(429);
    expect(Number(withoutKey.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(withoutKey.headers['retry-after-ms'])).toBeGreaterThan(0);
    // A right guess must not be told from a wrong one.
    expect(await outcomeOf(fleet.next(), bearer(known))).toBe('429 rate_limit_exceeded');
    expect(service.requests).toHaveLength(askedBefore);
  });

  test('an address that it writes itself into a header does not help it', async () => {
    for (let i = 0; i < workersReached; i++) {
      const headers = {
        ...bearer(guess()),
        'X-Forwarded-For': `203.0.113.${i}`,
        'X-Real-IP': `203.0.113.${i}`,
      };
      expect(await outcomeOf(fleet.next(), headers)).toBe('429 rate_limit_exceeded');
    }
  });
});

describe('14 · questions to a source of keys', () => {
  test.each([
    ['known', known, '200'],
    ['unknown', 'sk-e2e-unknown-to-the-service', '401 invalid_api_key'],
  ])('of many requests with one %s key one asks', async (_, key, outcome) => {
    await using service = await startService();
    const cache = { ttl: '10m', negative_ttl: '10m' };
    await using guarded = await startGuarded({
      auth: { failure_limit: { enabled: false }, pipeline: [asking(service, cache)] },
    });
    await changesAreHeard(guarded.redisUrl, 1);
    const ask = () => outcomeOf(guarded.gateway.address, bearer(key));
    const outcomes = await Promise.all(Array.from({ length: 50 }, ask));
    for (let i = 0; i < 10; i++) outcomes.push(await ask());
    expect(new Set(outcomes)).toEqual(new Set([outcome]));
    expect(service.requests).toHaveLength(1);
  });
});

describe('19 · what a stranger can fill', () => {
  test('a body over max_body_size gets to no backend', async () => {
    await using guarded = await startGuarded({ server: { max_body_size: '1KB' } });
    const { status } = await fetchText(guarded.gateway.address, chatPath, {
      body: `{"model":"${'x'.repeat(2_000)}"}`,
    });
    expect(status).toBe(413);
    expect(guarded.backend.requests).toEqual([]);
  });

  test('keys that nobody knows leave in Redis one counter for their address, which expires', async () => {
    await using guarded = await startGuarded({
      rate_limit: { per_key: { requests_per_minute: 10 }, redis_timeout: '20s' },
      auth: { failure_limit: { max_failures: 1_000 }, pipeline: [{ name: 'store', type: 'builtin' }] },
    });
    const redis = connectRedis({ url: guarded.redisUrl, connectionName: 'tests', whenDown: 'queue' });
    await using _ = { [Symbol.asyncDispose]: () => closeRedis(redis) };
    const counter = 'lp:{ip:127.0.0.1}:failures';
    const stored = async () =>
      (await redis.keys('*')).filter((name) => name !== 'lp:{g}:workers' && !name.startsWith('{lp}:'));
    expect(await stored()).toEqual([]);
    const many = Array.from({ length: 100 }, () => outcomeOf(guarded.gateway.address, bearer(guess())));
    expect(new Set(await Promise.all(many))).toEqual(new Set(['401 invalid_api_key']));
    await until('all are counted', async () => (await redis.get(counter)) === '100');
    expect(await stored()).toEqual([counter]);
    expect(await redis.pttl(counter)).toBeGreaterThan(0);
  });

  test('unknown keys are remembered up to a number, and push out no known one', async () => {
    await using service = await startService();
    const cache = { ttl: '10m', negative_ttl: '10m', max_entries: 3 };
    await using guarded = await startGuarded({
      auth: { failure_limit: { enabled: false }, pipeline: [asking(service, cache)] },
    });
    await changesAreHeard(guarded.redisUrl, 1);
    const ask = (key: string) => outcomeOf(guarded.gateway.address, bearer(key));
    const asked = (key: string) =>
      service.requests.filter((request) => (request.json() as { api_key: string }).api_key === key).length;
    const first = guess();
    expect(await ask(known)).toBe('200');
    for (const key of [first, first, guess(), guess(), guess()])
      expect(await ask(key)).toBe('401 invalid_api_key');
    expect(asked(first)).toBe(1);
    await ask(first);
    expect(asked(first)).toBe(2);
    expect(await ask(known)).toBe('200');
    expect(asked(known)).toBe(1);
  });
});
