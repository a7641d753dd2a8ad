import { redisClusterForTests, redisForTests } from '@llmproxy/real-services';
import { bullPrefix, closeRedis, connectRedis, type RedisTarget } from '@llmproxy/redis';
import { deliveryQueueName } from '@llmproxy/usage-queue';
import { createHmac } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import type { Reporter } from './index.ts';
import {
  deadLettersOf,
  deliver,
  freshRedis,
  patient,
  receiver,
  soon,
  usageEvent,
  webhook,
} from './spec-delivery.ts';

const kinds = [
  { kind: 'one server', forTests: redisForTests },
  { kind: 'a cluster', forTests: redisClusterForTests },
];

/** A destination that is away until told otherwise. */
function flaky(name: string) {
  const taken: string[] = [];
  const state = { away: true, taken, reporter: {} as Reporter };
  state.reporter = {
    name,
    unit: 'batch',
    attemptsMax: 1,
    concurrency: 1,
    schedule: soon,
    deliver: (events) => {
      if (state.away) return Promise.reject(new Error('connection refused'));
      taken.push(...events.map((event) => event.event_id));
      return Promise.resolve();
    },
    isAway: () => true,
    close: () => Promise.resolve(),
  };
  return state;
}

test('a webhook receives each event alone, named by its idempotency key and signed', async () => {
  const { url, received } = await receiver();
  const headers = { Authorization: 'Bearer receiver-token', 'Content-Type': 'application/usage+json' };
  const { fanOut } = deliver(await freshRedis(redisForTests), [webhook(url, { headers, secret: 'whsec_1' })]);
  const events = [usageEvent(), usageEvent()];
  await fanOut(events, 'batch-1');
  await expect.poll(() => received.length, patient).toBe(2);
  for (const event of events) {
    const delivery = received.find(({ body }) => body === JSON.stringify(event));
    expect(delivery).toMatchObject({ method: 'POST', path: '/usage?from=gw' });
    expect(delivery?.headers).toMatchObject({
      authorization: 'Bearer receiver-token',
      'content-type': 'application/usage+json',
      'idempotency-key': event.event_id,
    });
    const [, t, v1] =
      /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(delivery?.headers['x-llmproxy-signature'])) ?? [];
    expect(v1).toBe(createHmac('sha256', 'whsec_1').update(`${t}.${delivery?.body}`).digest('hex'));
  }
});

test.each(kinds)(
  'with a webhook down, its events become dead letters that can be replayed once, and no other reporter waits ($kind)',
  async ({ forTests }) => {
    const redis = await freshRedis(forTests);
    const billing = await receiver(503);
    const audit = await receiver();
    const { fanOut, outcomes, states } = deliver(redis, [
      webhook(billing.url),
      webhook(audit.url, { name: 'audit' }),
    ]);
    const events = [usageEvent(), usageEvent()];
    const ids = events.map((event) => event.event_id).toSorted();
    await fanOut(events, 'batch-1');
    await expect.poll(() => audit.received.length, patient).toBe(2);
    await expect.poll(() => outcomes['billing dead'], patient).toBe(2);
    expect(billing.received).toHaveLength(6);
    expect(outcomes['billing retried']).toBe(4);

    const letters = deadLettersOf(redis);
    const dead = await letters.listDeadLetters('billing');
    expect(dead.map(({ id }) => id).toSorted()).toEqual(ids);
    expect(dead[0]).toMatchObject({ cause: 'answered 503', attempts: 3 });
    expect(dead.flatMap((letter) => letter.events)).toEqual(expect.arrayContaining(events));
    expect(await letters.listDeadLetters('billing', { limit: 1 })).toHaveLength(1);
    expect(await letters.listDeadLetters('audit')).toEqual([]);

    billing.status = 200;
    billing.received.length = 0;
    expect(await letters.replayDeadLetters('billing', [ids[0] ?? '', 'unknown'])).toBe(1);
    expect(await letters.replayDeadLetters('billing', 'all')).toBe(1);
    expect(await letters.replayDeadLetters('billing', 'all')).toBe(0);
    await expect.poll(() => outcomes['billing delivered'], patient).toBe(2);
    expect(billing.received.map(({ headers }) => headers['idempotency-key']).toSorted()).toEqual(ids);
    expect(await states()).toContainEqual({
      name: 'billing',
      health: expect.any(String),
      depth: 0,
      deadLetters: 0,
    });
  },
);

test('letters that fail again while all are replayed are replayed once, not for ever', async () => {
  const redis = await freshRedis(redisForTests);
  const { url, received } = await receiver(500);
  const { fanOut, outcomes } = deliver(redis, [webhook(url, { attemptsMax: 1 })]);
  await fanOut([usageEvent(), usageEvent()], 'batch-1');
  await expect.poll(() => outcomes['billing dead'], patient).toBe(2);
  const letters = deadLettersOf(redis);
  expect(await letters.replayDeadLetters('billing', 'all')).toBe(2);
  await expect.poll(() => outcomes['billing dead'], patient).toBe(4);
  expect(received).toHaveLength(4);
  expect(await letters.listDeadLetters('billing')).toHaveLength(2);
});

test('a batch that is fanned out again is not delivered again', async () => {
  const { url, received } = await receiver();
  const { fanOut, outcomes } = deliver(await freshRedis(redisForTests), [webhook(url)]);
  const events = [usageEvent(), usageEvent()];
  await Promise.all([fanOut(events, 'batch-1'), fanOut(events, 'batch-1')]);
  await expect.poll(() => outcomes['billing delivered'], patient).toBe(2);
  await fanOut(events, 'batch-1');
  await fanOut([usageEvent()], 'batch-2');
  await expect.poll(() => outcomes['billing delivered'], patient).toBe(3);
  expect(received).toHaveLength(3);
});

test('a receiver that never answers costs its own deliveries their timeout, and is retried', async () => {
  const silent = await receiver(0);
  const { fanOut, outcomes } = deliver(await freshRedis(redisForTests), [
    webhook(silent.url, { timeoutMs: 50, attemptsMax: 2 }),
  ]);
  await fanOut([usageEvent()], 'batch-1');
  await expect.poll(() => outcomes['billing dead'], patient).toBe(1);
  expect(silent.received).toHaveLength(2);
});

test('while a destination is away its deliveries wait without losing attempts, and it is told once', async () => {
  const store = flaky('store');
  const { fanOut, told, outcomes } = deliver(await freshRedis(redisForTests), [store.reporter]);
  const batches = Array.from({ length: 5 }, () => [usageEvent(), usageEvent()]);
  for (const [index, events] of batches.entries()) await fanOut(events, `batch-${index}`);
  await expect.poll(() => outcomes['store retried'], patient).toBeGreaterThan(10);
  store.away = false;
  await expect.poll(() => outcomes['store delivered'], patient).toBe(10);
  expect(store.taken.toSorted()).toEqual(
    batches
      .flat()
      .map((event) => event.event_id)
      .toSorted(),
  );
  expect(outcomes['store dead']).toBeUndefined();
  expect(told).toEqual([
    'reporter fails; its deliveries are retried {"reporter":"store","cause":"connection refused"}',
    expect.stringMatching(/^reporter delivers again/),
  ]);
});

test.each(kinds)(
  'a delivery under way when the worker stops is made by the next worker ($kind)',
  async ({ forTests }) => {
    const redis = await freshRedis(forTests);
    const store = flaky('store');
    const first = deliver(redis, [store.reporter]);
    const event = usageEvent();
    await first.fanOut([event], 'batch-1');
    await expect.poll(() => first.outcomes['store retried'], patient).toBeGreaterThan(0);
    await first.close(5_000);
    store.away = false;
    deliver(redis, [store.reporter]);
    await expect.poll(() => store.taken, patient).toEqual([event.event_id]);
  },
);

/** Deletes what jobs hold and leaves their ids where they are, as an evicting Redis does. */
async function loseJobs(target: RedisTarget, reporter: string, ids: readonly string[]): Promise<void> {
  const redis = connectRedis({ ...target, connectionName: 'spec', whenDown: 'queue' });
  try {
    const names = ids.map((id) => `${bullPrefix}:${deliveryQueueName(reporter)}:${id}`);
    expect(await redis.del(...names)).toBe(ids.length);
  } finally {
    await closeRedis(redis);
  }
}

test('deliveries whose data is gone from Redis are counted and told once, and hold up no other', async () => {
  const redis = await freshRedis(redisForTests);
  const away = flaky('ledger');
  const { fanOut, states, told, outcomes, withoutData } = deliver(redis, [away.reporter]);
  const batches = Array.from({ length: 5 }, (_, index) => ({ id: `batch-${index}`, event: usageEvent() }));
  for (const { id, event } of batches) await fanOut([event], id);
  await expect.poll(() => outcomes['ledger retried'] ?? 0, patient).toBeGreaterThan(0);
  await loseJobs(redis, 'ledger', ['batch-1', 'batch-2', 'batch-3']);
  away.away = false;
  await expect.poll(() => outcomes['ledger delivered'], patient).toBe(2);
  await expect.poll(() => withoutData, patient).toEqual(Array(3).fill('usage-ledger'));
  await expect.poll(states, patient).toMatchObject([{ depth: 0, deadLetters: 0 }]);
  expect(away.taken).toEqual([batches[0]?.event.event_id, batches[4]?.event.event_id]);
  expect(told.filter((line) => line.includes('lost their data'))).toHaveLength(1);
});

test('a dead letter whose data is gone from Redis is neither listed nor in the way of the others', async () => {
  const redis = await freshRedis(redisForTests);
  const { url } = await receiver(400);
  const { fanOut, states } = deliver(redis, [webhook(url, { attemptsMax: 1 })]);
  const events = [usageEvent(), usageEvent(), usageEvent()];
  await fanOut(events, 'batch-1');
  await expect.poll(states, patient).toMatchObject([{ deadLetters: 3 }]);
  const [lost, ...kept] = events.map(({ event_id }) => event_id);
  await loseJobs(redis, 'billing', [lost ?? '']);
  const letters = deadLettersOf(redis);
  const listed = (await letters.listDeadLetters('billing')).map(({ id }) => id);
  expect(listed.toSorted()).toEqual(kept.toSorted());
  expect(await letters.replayDeadLetters('billing', 'all')).toBe(2);
});

test('a fan-out that Redis refused half-way is whole when it is repeated', async () => {
  const redis = await freshRedis(redisForTests);
  const { url, received } = await receiver();
  const { fanOut, outcomes } = deliver(redis, [webhook(url)]);
  const admin = connectRedis({ ...redis, connectionName: 'spec', whenDown: 'queue' });
  onTestFinished(() => closeRedis(admin));
  const list = `${bullPrefix}:${deliveryQueueName('billing')}:wait`;
  await admin.set(list, 'not a list');
  const events = Array.from({ length: 30 }, usageEvent);
  await expect(fanOut(events, 'batch-1')).rejects.toThrow('WRONGTYPE');
  await admin.del(list);
  await fanOut(events, 'batch-1');
  await expect.poll(() => outcomes['billing delivered'], patient).toBe(30);
  expect(received).toHaveLength(30);
});
