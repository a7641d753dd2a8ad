/**
 * One round over all scopes that gateways have noted: what expired leases hold is given back, quotas whose period has
 * passed are reset. Guarantee: harmless at any moment and any number of times, together with gateways and other
 * sweeps; what one leaves undone, because it was killed or Redis was away, the next one does.
 */
import { leaseMs, limitKeys, transact, type LimitOp } from '@llmproxy/limit-state';
import type { RedisClient } from '@llmproxy/redis';
import { defineScript } from '@llmproxy/redis-script';
import { dutiesOf, type StoredScope } from './core/duties.ts';

export interface SweepEvents {
  /** Expired leases were ended, those of a killed gateway worker for instance. */
  onReaped(leases: number): void;
  /** The quota of a scope, `k:<key id>`, counts from 0 again since `periodStartMs`. Called once for each period. */
  onReset(tag: string, periodStartMs: number): void;
}

export interface SweepOptions extends SweepEvents {
  readonly redis: RedisClient;
}

/** @param nowMs 0: the clock of Redis; tests pass a number. Rejects when Redis fails; stops early when `signal` says so */
export type Sweep = (signal: AbortSignal, nowMs?: number) => Promise<void>;

/** Tag and last use, as Redis writes it: it is compared with itself later. */
type Noted = readonly [tag: string, lastUse: string];

/** Scopes whose state is asked for at once: few enough that gateways do not wait behind them. */
const pageSize = 100;
/** Since this sweep asked Redis for the time, gateways may have made newer leases. */
const skewMs = 60_000;
/** Leases that one call ends: Redis does nothing else meanwhile. */
const reapedPerCall = 100;

const forgetTags = defineScript({
  file: new URL('./forget-tags.lua', import.meta.url),
  keys: (_: readonly Noted[]) => [limitKeys.tags],
  args: (tags) => tags.flat(),
  reply: (removed: number) => removed,
});

export function createSweep({ redis, onReaped, onReset }: SweepOptions): Sweep {
  return async (signal, nowMs = 0) => {
    const atMs = nowMs === 0 ? await timeOf(redis) : nowMs;
    let cursor = '0';
    do {
      const [next, flat] = await redis.zscan(limitKeys.tags, cursor, 'COUNT', pageSize);
      const idle = await Promise.all(pairsOf(flat).map((noted) => lookAfter(noted)));
      const forgotten = idle.filter((noted) => noted !== null);
      if (forgotten.length > 0) await forgetTags(redis, forgotten);
      cursor = next;
    } while (cursor !== '0' && !signal.aborted);

    /** Resolves with the scope when nothing is left of it. */
    async function lookAfter(noted: Noted): Promise<Noted | null> {
      const [tag] = noted;
      const { reap, resetToMs, forget } = dutiesOf(await readScope(noted), atMs);
      if (reap) await reapAll(tag);
      if (resetToMs !== null && (await run(tag, { op: 'reset', scope: 0, periodStartMs: resetToMs })) > 0)
        onReset(tag, resetToMs);
      return forget ? noted : null;
    }

    async function readScope([tag, lastUse]: Noted): Promise<StoredScope> {
      const [expiredLeases, overlongLeases, periodEnd, keys] = await Promise.all([
        redis.zcount(limitKeys.leases(tag), '-inf', atMs),
        // Of a clock that has gone back: no lease made now would last so long.
        redis.zcount(limitKeys.leases(tag), `(${atMs + leaseMs + skewMs}`, '+inf'),
        redis.hget(limitKeys.quota(tag), 'end'),
        redis.exists(limitKeys.leases(tag), limitKeys.quota(tag)),
      ]);
      const periodEndMs = periodEnd === null ? null : Number(periodEnd);
      return { expiredLeases, overlongLeases, periodEndMs, hasState: keys > 0, lastUseMs: Number(lastUse) };
    }

    async function reapAll(tag: string): Promise<void> {
      let reaped: number;
      do {
        reaped = await run(tag, { op: 'reap', scope: 0, max: reapedPerCall });
        if (reaped > 0) onReaped(reaped);
      } while (reaped === reapedPerCall && !signal.aborted);
    }

    async function run(tag: string, op: LimitOp): Promise<number> {
      const { replies } = await transact(redis, { leaseMs, scopes: [{ tag }], ops: [op] }, nowMs);
      return Number(replies[0]);
    }
  };
}

async function timeOf(redis: RedisClient): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
}

function pairsOf(flat: readonly string[]): Noted[] {
  const pairs: Noted[] = [];
  for (let at = 0; at < flat.length; at += 2) pairs.push([flat[at] ?? '', flat[at + 1] ?? '']);
  return pairs;
}
