/** Limits of a key hold exactly across all workers of all gateways, however many requests come at once. */
import { createGate, openai, startFakeBackend, type FakeBackend, type Gate } from '@llmproxy/fake-backend';
import { redisForTests } from '@llmproxy/real-services';
import { hashOfKey, keyIdOfHash } from '@llmproxy/key-store';
import { limitKeys } from '@llmproxy/limit-state';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startFleet, storm, type Fleet } from './harness/fleet.ts';
import { fetchText } from './harness/http-client.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';

const keys = {
  perMinute: 'sk-e2e-requests-per-minute',
  burst: 'sk-e2e-burst-of-requests',
  tokens: 'sk-e2e-tokens-per-minute',
  quota: 'sk-e2e-quota-of-tokens',
  concurrent: 'sk-e2e-requests-at-once',
  reserved: 'sk-e2e-quota-that-is-reserved',
  told: 'sk-e2e-headers-are-told',
  blocked: 'sk-e2e-blocked-by-nothing',
};

const resources = new AsyncDisposableStack();
let backend: FakeBackend;
let fleet: Fleet;
let redis: ReturnType<typeof connectRedis>;

beforeAll(async () => {
  const folder = resources.use(tempFolder());
  const place = resources.use(await redisForTests());
  backend = resources.use(await startFakeBackend());
  redis = connectRedis({ url: place.url, connectionName: 'tests', whenDown: 'queue' });
  resources.defer(() => closeRedis(redis));
  fleet = resources.use(
    await startFleet(3, {
      folder: folder.path,
      redisUrl: place.url,
      backends: [{ name: 'fake', url: backend.url }],
      config: {
        server: { workers: 4 },
        log: { level: 'warn' },
        logging: { enabled: false },
        // A slow moment of the machine must not make a gateway count by itself.
        rate_limit: { redis_timeout: '20s', on_redis_failure: 'deny' },
        auth: {
          pipeline: [
            {
              name: 'keys',
              type: 'static',
              static: {
                keys: [
                  { key: keys.perMinute, limits: { requests_per_minute: 100 } },
                  { key: keys.burst, limits: { requests_per_second: 0.001, burst_size: 50 } },
                  { key: keys.tokens, limits: { tokens_per_minute: 10_000 } },
                  { key: keys.quota, total_quota: 10_000 },
                  { key: keys.reserved, total_quota: 100 },
                  { key: keys.concurrent, limits: { max_concurrent: 20 } },
                  { key: keys.told, limits: { requests_per_minute: 3, tokens_per_minute: 1_000 } },
                  { key: keys.blocked, limits: { requests_per_minute: 0 } },
                ],
              },
            },
          ],
        },
      },
    }),
  );
});
afterAll(() => resources.disposeAsync());

/** 160 bytes, so 40 tokens of prompt, and 60 for the answer: 100 are reserved, and 30 used in the end. */
function askOf(key: string) {
  const fields = { model: key, max_tokens: 60, messages: [{ role: 'user', content: '' }] };
  const padding = 160 - JSON.stringify(fields).length;
  const messages = [{ role: 'user', content: 'x'.repeat(padding) }];
  return { headers: { authorization: `Bearer ${key}` }, body: JSON.stringify({ ...fields, messages }) };
}
const use = { promptTokens: 10, completionTokens: 20 };

const tagOf = (key: string) => `k:${keyIdOfHash(hashOfKey(key))}`;
const reachedBackend = (key: string) =>
  backend.requests.filter(({ body }) => body.toString('latin1').includes(key)).length;
const nothingIsHeld = (key: string) =>
  until('all is settled', async () => (await redis.zcard(limitKeys.leases(tagOf(key)))) === 0);

/** Answers are held back until the gate opens, so that nothing is settled meanwhile. */
function holdAnswers(): Gate {
  const gate = createGate();
  backend.on('/v1/chat/completions', openai.chat({ ...use, headAfter: gate }));
  return gate;
}
const answerAtOnce = () => backend.on('/v1/chat/completions', openai.chat(use));

/** One request after the other until one is refused though nothing is held; returns how many passed. */
async function useUp(
  key: string,
): Promise<{ passed: number; refusal: Awaited<ReturnType<typeof fetchText>> }> {
  let passed = 0;
  for (;;) {
    const first = await fetchText(fleet.next(), '/v1/chat/completions', askOf(key));
    if (first.status === 200) {
      passed++;
      continue;
    }
    await nothingIsHeld(key);
    const again = await fetchText(fleet.next(), '/v1/chat/completions', askOf(key));
    if (again.status !== 200) return { passed, refusal: again };
    passed++;
  }
}

test('of 1,000 concurrent requests exactly the 100 per minute pass', async () => {
  answerAtOnce();
  const { all, passed, refused } = storm(fleet, 1_000, askOf(keys.perMinute));
  await all;
  expect([passed(), refused()]).toEqual([100, 900]);
  expect(reachedBackend(keys.perMinute)).toBe(100);
});

test('of 1,000 concurrent requests exactly a burst of 50 passes', async () => {
  answerAtOnce();
  const { all, passed, refused } = storm(fleet, 1_000, askOf(keys.burst));
  await all;
  expect([passed(), refused()]).toEqual([50, 950]);
  expect(reachedBackend(keys.burst)).toBe(50);
});

test('of 1,000 concurrent requests exactly 20 are served at once, and the next 20 when those are done', async () => {
  for (let round = 1; round <= 2; round++) {
    const gate = holdAnswers();
    const { all, passed, refused } = storm(fleet, 1_000, askOf(keys.concurrent));
    await until('all others are refused', () => refused() === 980, 60_000);
    await until('they have reached the backend', () => backend.openRequests === 20);
    gate.open();
    await all;
    expect([passed(), reachedBackend(keys.concurrent)]).toEqual([20, round * 20]);
    await nothingIsHeld(keys.concurrent);
  }
});

test.each([
  ['tokens per minute', keys.tokens],
  ['a quota of tokens', keys.quota],
])('%s: what is reserved and used never exceeds it; what is not used comes back', async (_limit, key) => {
  const gate = holdAnswers();
  const { all, passed, refused } = storm(fleet, 1_000, askOf(key));
  await until('all others are refused', () => refused() === 900, 60_000);
  await until('they have reached the backend', () => backend.openRequests === 100);
  gate.open();
  await all;
  expect([passed(), reachedBackend(key)]).toEqual([100, 100]);
  await nothingIsHeld(key);

  answerAtOnce();
  const second = storm(fleet, 200, askOf(key));
  await second.all;
  await nothingIsHeld(key);
  const rest = await useUp(key);
  // 330 × 30 used + 100 reserved = 10,000; one more does not fit.
  expect(100 + second.passed() + rest.passed).toBe(331);
  expect(reachedBackend(key)).toBe(331);
  expect(rest.refusal.status).toBe(429);
});

test('a key whose quota is used up is told so, and that trying again is of no use', async () => {
  const refused = await fetchText(fleet.next(), '/v1/chat/completions', askOf(keys.quota));
  expect(refused.status).toBe(429);
  expect(JSON.parse(refused.text)).toMatchObject({ error: { code: 'insufficient_quota' } });
  expect(refused.headers['x-should-retry']).toBe('false');
  expect(refused.headers['retry-after']).toBeUndefined();
});

test('where a quota is only reserved by a request under way, trying again is of use', async () => {
  const gate = holdAnswers();
  const before = backend.openRequests;
  const held = fetchText(fleet.next(), '/v1/chat/completions', askOf(keys.reserved));
  await until('it has reached the backend', () => backend.openRequests === before + 1);
  const refused = await fetchText(fleet.next(), '/v1/chat/completions', askOf(keys.reserved));
  expect(refused.status).toBe(429);
  expect(JSON.parse(refused.text)).toMatchObject({ error: { code: 'rate_limit_exceeded' } });
  expect(refused.headers['x-should-retry']).toBeUndefined();
  expect(refused.headers['retry-after']).toBe('1');
  gate.open();
  expect((await held).status).toBe(200);
});

test('every answer tells the limits, what is left of them, and when to come back', async () => {
  answerAtOnce();
  const answers = [];
  for (let i = 0; i < 4; i++) {
    answers.push(await fetchText(fleet.next(), '/v1/chat/completions', askOf(keys.told)));
    await nothingIsHeld(keys.told);
  }
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
  expect(answers.map(({ headers }) => headers['x-ratelimit-limit-requests'])).toEqual(['3', '3', '3', '3']);
  expect(answers.map(({ headers }) => headers['x-ratelimit-remaining-requests'])).toEqual([
    '2',
    '1',
    '0',
    '0',
  ]);
  expect(answers.map(({ headers }) => headers['x-ratelimit-limit-tokens'])).toEqual(Array(4).fill('1000'));
  expect(answers.map(({ headers }) => headers['x-ratelimit-remaining-tokens'])).toEqual([
    '900',
    '870',
    '840',
    '910',
  ]);
  const refused = answers[3];
  expect(JSON.parse(refused?.text ?? '')).toMatchObject({ error: { code: 'rate_limit_exceeded' } });
  expect(refused?.headers['x-ratelimit-reset-requests']).toMatch(/^(?:\d+m)?[\d.]+m?s$/);
  const retryAfterMs = Number(refused?.headers['retry-after-ms']);
  expect(retryAfterMs).toBeGreaterThan(0);
  expect(Number(refused?.headers['retry-after'])).toBe(Math.ceil(retryAfterMs / 1000));
});

test('a limit of 0 lets nothing through', async () => {
  const refused = await fetchText(fleet.next(), '/v1/chat/completions', askOf(keys.blocked));
  expect([refused.status, reachedBackend(keys.blocked)]).toEqual([429, 0]);
});
