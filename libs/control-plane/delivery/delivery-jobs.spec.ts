import { spawnRedisServer } from '@llmproxy/embedded-redis';
import { redisClusterForTests, redisForTests, startRedis } from '@llmproxy/real-services';
import type { UsageEvent } from '@llmproxy/usage-queue';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import {
  connect,
  deadLettersOf,
  deliver,
  freshRedis,
  patient,
  receiver,
  usageEvent,
  webhook,
} from './spec-delivery.ts';

const kinds = [
  { kind: 'one server', forTests: redisForTests },
  { kind: 'a cluster', forTests: redisClusterForTests },
];

const never = { firstMs: 3_600_000, capMs: 3_600_000 };

/** As a gateway makes them, every field in use but the request body. */
const typicalEvent = (): UsageEvent => ({
  ...usageEvent(),
  request_id: randomUUID(),
  key_id: '0123456789abcdef0123456789abcdef',
  api_key: 'sk-a...wxyz',
  user_id: 'user-12345',
  model: 'llama-3.3-70b-instruct',
  backend_url: 'http://gpu-1.internal:8000',
  latency_ms: 1234.567,
  ttft_ms: 123.456,
  usage: { prompt_tokens: 512, completion_tokens: 734, total_tokens: 1_246 },
  usage_source: 'backend',
});

const some = (count: number, make: () => UsageEvent = usageEvent) => Array.from({ length: count }, make);
const idsOf = (events: readonly UsageEvent[]) => events.map((event) => event.event_id).toSorted();

test('an event that waits for a webhook that fails costs Redis less than 1,000 bytes', async () => {
  const server = await startRedis(); // of its own: what others keep there is not to be measured
  onTestFinished(() => server.stop());
  const redis = { url: server.url, cluster: false };
  const { connection } = connect(redis);
  const usedBytes = async () =>
    Number(/^used_memory:(\d+)/m.exec(String(await connection.info('memory')))?.[1]);
  const { url } = await receiver(503);
  const { fanOut, outcomes, ready } = deliver(redis, [webhook(url, { schedule: never })]);
  await ready();
  const before = await usedBytes();
  const batches = 40;
  for (let index = 0; index < batches; index += 1) await fanOut(some(100, typicalEvent), `batch-${index}`);
  await expect.poll(() => outcomes['billing retried'], patient).toBe(batches * 100);
  const bytesEach = ((await usedBytes()) - before) / (batches * 100);
  expect(bytesEach).toBeGreaterThan(400); // they are there
  expect(bytesEach).toBeLessThan(1_000);
});

test('what is left of small batches waits together, up to twenty events in a job', async () => {
  const redis = await freshRedis(redisForTests);
  const { queue } = connect(redis);
  const { url } = await receiver(503);
  const { fanOut, outcomes } = deliver(redis, [webhook(url, { schedule: never })]);
  const events = some(60);
  for (let sent = 0; sent < events.length; sent += 2) {
    await fanOut(events.slice(sent, sent + 2), `batch-${sent}`);
    await expect.poll(() => outcomes['billing retried'], { ...patient, interval: 2 }).toBe(sent + 2);
  }
  await expect.poll(() => queue.getDelayedCount(), patient).toBe(3);
  const waiting = await queue.getDelayed();
  expect(idsOf(waiting.flatMap(({ data }) => data))).toEqual(idsOf(events));
  expect(waiting.map(({ attemptsMade }) => attemptsMade)).toEqual([1, 1, 1]);
});

test.each(kinds)(
  'each event of a group has its own attempts, its own end and, replayed, all attempts again ($kind)',
  async ({ forTests }) => {
    const redis = await freshRedis(forTests);
    const events = some(50);
    const [poison = usageEvent(), late = usageEvent()] = events;
    const seen = new Map<string, number>();
    const { url } = await receiver((id) => {
      const times = (seen.get(id) ?? 0) + 1;
      seen.set(id, times);
      return id === poison.event_id || (id === late.event_id && times < 3) ? 400 : 204;
    });
    const { fanOut, outcomes } = deliver(redis, [webhook(url)]);
    await fanOut(events, 'batch-1');
    await expect.poll(() => outcomes, patient).toMatchObject({ 'billing delivered': 49, 'billing dead': 1 });
    expect([...seen].filter(([, times]) => times !== 1).toSorted()).toEqual(
      [
        [late.event_id, 3],
        [poison.event_id, 3],
      ].toSorted(),
    );
    const letters = deadLettersOf(redis);
    expect(await letters.listDeadLetters('billing')).toMatchObject([
      { id: poison.event_id, events: [poison], cause: 'answered 400', attempts: 3 },
    ]);
    expect(await letters.replayDeadLetters('billing', [poison.event_id])).toBe(1);
    await expect.poll(() => outcomes['billing dead'], patient).toBe(2);
    expect(seen.get(poison.event_id)).toBe(6);
    expect(await letters.listDeadLetters('billing')).toMatchObject([{ id: poison.event_id, attempts: 3 }]);
  },
);

test('over a receiver that fails at random, each event is taken once or is one dead letter', async () => {
  const redis = await freshRedis(redisForTests);
  const taken: string[] = [];
  const { url } = await receiver((id) => {
    if (Math.random() < 0.5) return 503;
    taken.push(id);
    return 204;
  });
  const { fanOut, outcomes } = deliver(redis, [webhook(url, { attemptsMax: 4 })]);
  const events: UsageEvent[] = [];
  for (const size of [1, 100, 3, 2, 57, 20, 1, 1, 21, 40]) {
    const batch = some(size);
    events.push(...batch);
    await fanOut(batch, `batch-${events.length}`);
  }
  const ended = () => (outcomes['billing delivered'] ?? 0) + (outcomes['billing dead'] ?? 0);
  await expect.poll(ended, patient).toBe(events.length);
  const dead = await deadLettersOf(redis).listDeadLetters('billing', { limit: 1_000 });
  expect([...taken, ...dead.map(({ id }) => id)].toSorted()).toEqual(idsOf(events));
});

test('deliveries that the version before has queued, one job per event, are made and end as before', async () => {
  const redis = await freshRedis(redisForTests);
  const { queue } = connect(redis);
  const events = some(30);
  for (const event of events) {
    const id = event.event_id;
    await queue.add('event', [event], {
      jobId: id,
      deduplication: { id, ttl: 120_000 },
      attempts: 2,
      backoff: { type: 'custom' },
      removeOnComplete: true,
      removeOnFail: { age: 1_209_600, count: 10_000 },
      stackTraceLimit: 1,
    });
  }
  const refused = new Set(events.slice(0, 10).map((event) => event.event_id));
  const { url, received } = await receiver((id) => (refused.has(id) ? 503 : 204));
  const { outcomes } = deliver(redis, [webhook(url)]);
  await expect.poll(() => outcomes, patient).toMatchObject({ 'billing delivered': 20, 'billing dead': 10 });
  expect(received).toHaveLength(20 + 10 * 2);
  const dead = await deadLettersOf(redis).listDeadLetters('billing');
  expect(dead.map(({ id }) => id).toSorted()).toEqual([...refused].toSorted());
  expect(dead.every(({ attempts }) => attempts === 2)).toBe(true);
});

test('a batch with an event that Redis no longer takes is fanned out without its body, and blocks no other', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'uq-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const socket = join(dir, 'r.sock');
  const settings = { dir, save: '', 'proto-max-bulk-len': '1mb' };
  const server = await spawnRedisServer({ socket, settings, stopSignal: 'SIGKILL' });
  onTestFinished(() => server.stop());
  const { url, received } = await receiver();
  const taken: UsageEvent[] = [];
  const ledger = { ...webhook(url, { name: 'ledger' }), unit: 'batch' as const };
  const reporters = [
    webhook(url),
    { ...ledger, deliver: (events: readonly UsageEvent[]) => Promise.resolve(void taken.push(...events)) },
  ];
  const { fanOut, outcomes } = deliver({ url: `unix://${socket}`, cluster: false }, reporters);
  const prompt = 'x'.repeat(3_000_000);
  const events = [usageEvent(), { ...usageEvent(), request_body: prompt }, usageEvent()];
  await fanOut(events, 'batch-1');
  await fanOut([usageEvent()], 'batch-2');
  await expect.poll(() => outcomes, patient).toEqual({ 'billing delivered': 4, 'ledger delivered': 4 });
  const mark = { omitted: 'too large', bytes: prompt.length + 2 };
  expect(taken.slice(0, 3)).toEqual(
    events.map((event) => ('request_body' in event ? { ...event, request_body: mark } : event)),
  );
  expect(received.filter(({ body }) => body.includes('"omitted":"too large"'))).toHaveLength(1);
});
