/** The one call through which limits in Redis change: a batch of ops, all of it or, when Redis is away, none. */
import type { RedisScript } from '@llmproxy/redis-script';
import { defineScript } from '@llmproxy/redis-script';
import type { Batch, LimitOp, LimitScope, Transacted } from './core/batch.ts';
import { decodeReply, encodeBatch, rememberedOf, uses, usesOf } from './core/wire.ts';
import { limitKeys } from './limit-keys.ts';

interface Call extends Batch {
  /** 0: the clock of Redis. */
  readonly nowMs: number;
}

const script: RedisScript<Call, readonly number[]> = defineScript({
  file: [
    new URL('./script/windows.lua', import.meta.url),
    new URL('./script/scopes.lua', import.meta.url),
    new URL('./script/leases.lua', import.meta.url),
    new URL('./script/checks.lua', import.meta.url),
    new URL('./script/charge.lua', import.meta.url),
    new URL('./script/settle.lua', import.meta.url),
    new URL('./script/admit.lua', import.meta.url),
    new URL('./script/run.lua', import.meta.url),
  ],
  keys: ({ scopes, ops }: Call) => [
    ...scopes.flatMap(keysOf),
    ...ops.flatMap((op) => chargedKeysOf(op, scopes)),
  ],
  args: (call: Call) => [call.nowMs, call.leaseMs, encodeBatch(call)],
  reply: (raw: readonly number[]) => raw,
});

/**
 * Runs a batch atomically. On a Redis Cluster all scopes of a batch have to share one hash tag, that is be one.
 * @param nowMs 0: the clock of Redis; tests pass a number
 */
export async function transact(
  redis: Parameters<typeof script>[0],
  batch: Batch,
  nowMs = 0,
): Promise<Transacted> {
  return decodeReply(await script(redis, { ...batch, nowMs }), batch);
}

function keysOf(scope: LimitScope): string[] {
  const used = usesOf(scope);
  const keys: string[] = [];
  if (used & uses.rates) keys.push(limitKeys.rates(scope.tag));
  if (used & uses.leases) keys.push(limitKeys.leases(scope.tag));
  if (used & uses.quota) keys.push(limitKeys.quota(scope.tag));
  return keys;
}

function chargedKeysOf(op: LimitOp, scopes: readonly LimitScope[]): string[] {
  if (op.op !== 'charge') return [];
  return rememberedOf(op).map(({ scope }) => limitKeys.charged(scopes[scope]?.tag ?? '', op.lease.id));
}
