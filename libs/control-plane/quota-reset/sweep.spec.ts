import { leaseMs, limitKeys, transact, type LimitOp } from '@llmproxy/limit-state';
import { redisForTests } from '@llmproxy/real-services';
import { expect, test } from 'vitest';
import { daily, dayMs, gatewaysOn, sweepOn, tag, type Quota } from './spec-gateways.ts';

const gateways = async () => gatewaysOn(await redisForTests());
const at = (iso: string): number => Date.parse(iso);

test('a quota is reset once when its period has passed, and not before', async () => {
  const gateway = await gateways();
  const sweep = sweepOn(gateway);
  await gateway.use(at('2026-03-01T12:00:00Z'), 300);

  await sweep.at(at('2026-03-01T23:59:59.999Z'));
  expect([await gateway.quota(), sweep.resets]).toEqual([{ used: 300, reserved: 0 }, []]);

  for (const now of ['2026-03-02T00:00:00Z', '2026-03-02T00:00:10Z', '2026-03-05T00:00:00Z'])
    await sweep.at(at(now));
  expect(await gateway.quota()).toEqual({ used: 0, reserved: 0 });
  expect(sweep.resets).toEqual([[tag, '2026-03-02T00:00:00.000Z']]);
});

test('two sweeps at the same time reset a quota once', async () => {
  const gateway = await gateways();
  const [one, two] = [sweepOn(gateway), sweepOn(gateway)];
  await gateway.use(at('2026-03-01T12:00:00Z'), 300);
  await Promise.all([one, two].map((sweep) => sweep.at(at('2026-03-02T00:00:00Z'))));
  expect([...one.resets, ...two.resets]).toHaveLength(1);
});

test('after an absence of two periods the quota is at 0 and one reset is counted', async () => {
  const gateway = await gateways();
  const sweep = sweepOn(gateway);
  await gateway.use(at('2026-03-01T12:00:00Z'), 300);
  await sweep.at(at('2026-03-03T12:00:00Z'));
  expect(await gateway.quota()).toEqual({ used: 0, reserved: 0 });
  expect(sweep.resets).toHaveLength(1);

  // What is used now is not taken for use of the period that the sweep began.
  await gateway.use(at('2026-03-03T12:00:01Z'), 40);
  await sweep.at(at('2026-03-03T12:00:02Z'));
  expect(await gateway.quota()).toEqual({ used: 40, reserved: 0 });
  expect(sweep.resets).toHaveLength(1);
});

test('a gateway that came first has reset the quota: what was used since stays', async () => {
  const gateway = await gateways();
  const sweep = sweepOn(gateway);
  await gateway.use(at('2026-03-01T12:00:00Z'), 300);
  await gateway.use(at('2026-03-02T00:00:00Z'), 40);
  await sweep.at(at('2026-03-02T00:00:10Z'));
  expect(await gateway.quota()).toEqual({ used: 40, reserved: 0 });
  expect(sweep.resets).toEqual([]);
});

test('a gateway whose clock is behind does not take a reset back', async () => {
  const gateway = await gateways();
  const sweep = sweepOn(gateway);
  await gateway.use(at('2026-03-01T12:00:00Z'), 300);
  await sweep.at(at('2026-03-02T00:00:00Z'));
  await gateway.use(at('2026-03-01T23:59:59Z'), 40);
  await sweep.at(at('2026-03-02T00:00:10Z'));
  expect(await gateway.quota()).toEqual({ used: 40, reserved: 0 });
  expect(sweep.resets).toHaveLength(1);
});

test.each<[string, Quota, string, string]>([
  ['that has 23 hours', { ...daily, zone: 'Europe/Berlin' }, '2024-03-31T12:00:00Z', '2024-03-31T22:00:00Z'],
  ['that has 25 hours', { ...daily, zone: 'Europe/Berlin' }, '2024-10-27T12:00:00Z', '2024-10-27T23:00:00Z'],
  [
    'before a day without midnight',
    { ...daily, zone: 'Africa/Cairo' },
    '2024-04-25T12:00:00Z',
    '2024-04-25T22:00:00Z',
  ],
  [
    'in a zone of half hours',
    { ...daily, zone: 'Asia/Kolkata' },
    '2026-03-01T12:00:00Z',
    '2026-03-01T18:30:00Z',
  ],
  ['of a week', { ...daily, period: 'weekly' }, '2026-03-01T12:00:00Z', '2026-03-02T00:00:00Z'],
  ['of a leap month', { ...daily, period: 'monthly' }, '2024-02-29T12:00:00Z', '2024-03-01T00:00:00Z'],
])('the quota of a period %s is reset at its end, to the second', async (...[, quota, use, end]) => {
  const gateway = await gateways();
  const sweep = sweepOn(gateway);
  await gateway.use(at(use), 300, quota);
  await sweep.at(at(end) - 1000);
  expect(await gateway.quota()).toEqual({ used: 300, reserved: 0 });
  await sweep.at(at(end));
  expect(await gateway.quota()).toEqual({ used: 0, reserved: 0 });
});

test('a quota that is never reset is left alone, however long', async () => {
  const gateway = await gateways();
  const sweep = sweepOn(gateway);
  await gateway.use(at('2026-03-01T12:00:00Z'), 300, { ...daily, period: 'never' });
  await sweep.at(at('2036-03-01T12:00:00Z'));
  expect([await gateway.quota(), sweep.resets]).toEqual([{ used: 300, reserved: 0 }, []]);
});

test('what a request under way has reserved stays reserved, and is charged to the new period', async () => {
  const gateway = await gateways();
  const sweep = sweepOn(gateway);
  await gateway.use(at('2026-03-01T12:00:00Z'), 300);
  const lease = await gateway.admit(at('2026-03-01T23:59:50Z'), 500);
  await sweep.at(at('2026-03-02T00:00:10Z'));
  expect(await gateway.quota()).toEqual({ used: 0, reserved: 500 });
  await gateway.settle(at('2026-03-02T00:00:11Z'), lease, 120);
  expect(await gateway.quota()).toEqual({ used: 120, reserved: 0 });
});

test('the leases of a killed worker are ended by the first sweep after they expired, and refunded', async () => {
  const gateway = await gateways();
  const sweep = sweepOn(gateway);
  const startMs = at('2026-03-01T12:00:00Z');
  for (let i = 0; i < 250; i++) await gateway.admit(startMs, 3);
  await gateway.admit(startMs + 1000, 3);

  await sweep.at(startMs + leaseMs - 1);
  expect([await gateway.leases(), sweep.reaped()]).toEqual([251, 0]);
  await sweep.at(startMs + leaseMs);
  expect([await gateway.leases(), sweep.reaped()]).toEqual([1, 250]);
  expect(await gateway.quota()).toEqual({ used: 0, reserved: 3 });
});

test('the leases of a killed worker end in their time although the clock went back a year', async () => {
  const gateway = await gateways();
  const sweep = sweepOn(gateway);
  const startMs = at('2026-03-01T12:00:00Z');
  await gateway.admit(startMs, 3);
  const backMs = startMs - 365 * dayMs;
  await sweep.at(backMs);
  await sweep.at(backMs + leaseMs - 1);
  expect([await gateway.leases(), sweep.reaped()]).toEqual([1, 0]);
  await sweep.at(backMs + leaseMs);
  expect([await gateway.leases(), sweep.reaped()]).toEqual([0, 1]);
});

test('a scope of which nothing is left is forgotten once it is quiet; others are not', async () => {
  const gateway = await gateways();
  const { redis } = gateway;
  const nowMs = at('2026-03-01T12:00:00Z');
  const sweep = sweepOn(gateway);
  await gateway.use(nowMs - dayMs, 300);
  await redis.zadd(limitKeys.tags, nowMs - dayMs, tag, nowMs - dayMs, 'ip:192.0.2.1', nowMs - 1000, 'g');
  await sweep.at(nowMs);
  expect(await redis.zrange(limitKeys.tags, '0', '-1')).toEqual([tag, 'g']);
});

test('every scope gets its turn, also when there are many', async () => {
  const gateway = await gateways();
  const sweep = sweepOn(gateway);
  const tags = Array.from({ length: 1_200 }, (_, i) => `ip:192.0.2.${i}`);
  await gateway.redis.zadd(limitKeys.tags, ...tags.flatMap((one) => ['1', one]));
  await gateway.use(at('2026-03-01T12:00:00Z'), 300);
  await sweep.at(at('2026-03-02T00:00:00Z'));
  expect(sweep.resets).toHaveLength(1);
  expect(await gateway.redis.zcard(limitKeys.tags)).toBe(1);
});

test('what a sweep that was cut off has left, the next one does, and nothing twice', async () => {
  const gateway = await gateways();
  const [killed, next] = [sweepOn(gateway), sweepOn(gateway)];
  const startMs = at('2026-03-01T00:00:00Z');
  const quota = {
    total: 1000,
    used: 70,
    periodStartMs: startMs,
    periodEndMs: startMs + dayMs,
    shadow: false,
  };
  const tags = Array.from({ length: 300 }, (_, i) => `k:${i}`);
  const admits = tags.map((of, i): LimitOp => ({ op: 'admit', id: of, tokens: 1, scopes: [i] }));
  const scopes = tags.map((of) => ({ tag: of, quota }));
  await transact(gateway.redis, { leaseMs, scopes, ops: admits }, startMs);
  await gateway.redis.zadd(limitKeys.tags, ...tags.flatMap((of) => [String(startMs), of]));

  await killed.at(startMs + 2 * dayMs, AbortSignal.abort());
  expect(killed.resets.length).toBeGreaterThan(0);
  expect(killed.resets.length).toBeLessThan(300);
  await next.at(startMs + 2 * dayMs);
  expect(new Set([...killed.resets, ...next.resets].map(([of]) => of)).size).toBe(300);
  expect(killed.resets.length + next.resets.length).toBe(300);
  expect(killed.reaped() + next.reaped()).toBe(300);
});
