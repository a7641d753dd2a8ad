/** For specs: gateways that use limits at whatever time it is said to be, and a sweep that notes what it did. */
import { leaseMs, limitKeys, transact, type Batch, type Lease, type LimitOp } from '@llmproxy/limit-state';
import { closeRedis, connectRedis, type RedisTarget } from '@llmproxy/redis';
import { createPeriods, type QuotaPeriod } from '@llmproxy/time';
import { afterEach } from 'vitest';
import { createSweep } from './sweep.ts';

/** Run after each test of a spec, the last one first. */
export const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export const dayMs = 86_400_000;
export const tag = 'k:0123456789abcdef0123456789abcdef';
const never = new AbortController().signal;

export interface Quota {
  total: number;
  period: QuotaPeriod;
  zone: string;
}
export const daily: Quota = { total: 1000, period: 'daily', zone: 'UTC' };

/** Gateways on a Redis that is there for one test. */
export function gatewaysOn(place: AsyncDisposable & { readonly url: string }, cluster = false) {
  cleanups.push(() => place[Symbol.asyncDispose]());
  const target: RedisTarget = { url: place.url, cluster };
  const redis = connectRedis({ ...target, connectionName: 'spec', whenDown: 'queue' });
  cleanups.push(() => closeRedis(redis));

  const run = async (atMs: number, quota: Quota, op: LimitOp) => {
    const bounds = createPeriods(quota.zone).bounds(quota.period, atMs);
    const batch: Batch = {
      leaseMs,
      scopes: [
        {
          tag,
          quota: {
            total: quota.total,
            used: 0,
            periodStartMs: bounds.startMs,
            periodEndMs: bounds.endMs === Infinity ? 0 : bounds.endMs,
            shadow: false,
          },
        },
      ],
      ops: [op],
    };
    await redis.zadd(limitKeys.tags, atMs, tag);
    return (await transact(redis, batch, atMs)).replies[0];
  };
  let ids = 0;
  const admit = async (atMs: number, tokens: number, quota = daily): Promise<Lease> => {
    const reply = await run(atMs, quota, { op: 'admit', id: `request-${ids++}`, tokens, scopes: [0] });
    if (typeof reply !== 'object' || !reply.granted) throw new Error(`refused: ${JSON.stringify(reply)}`);
    return reply.lease;
  };
  const settle = (atMs: number, lease: Lease, used: number, quota = daily) =>
    run(atMs, quota, { op: 'settle', lease, used, again: false });
  const use = async (atMs: number, tokens: number, quota = daily) =>
    settle(atMs, await admit(atMs, tokens, quota), tokens, quota);
  const quota = async () => {
    const [used, reserved] = await redis.hmget(limitKeys.quota(tag), 'used', 'reserved');
    return { used: Number(used), reserved: Number(reserved) };
  };
  const leases = () => redis.zcard(limitKeys.leases(tag));
  return { target, redis, admit, settle, use, quota, leases };
}

/** A sweep that notes what it did. */
export function sweepOn({ redis }: Pick<ReturnType<typeof gatewaysOn>, 'redis'>) {
  const resets: [tag: string, from: string][] = [];
  let reaped = 0;
  const sweep = createSweep({
    redis,
    onReaped: (leases) => (reaped += leases),
    onReset: (of, startMs) => resets.push([of, new Date(startMs).toISOString()]),
  });
  return { at: (nowMs: number, signal = never) => sweep(signal, nowMs), resets, reaped: () => reaped };
}
