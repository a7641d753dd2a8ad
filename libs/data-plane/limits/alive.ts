/** Which workers share the limits, for the time when Redis cannot be asked. */
import { limitKeys } from '@llmproxy/limit-state';
import { defineScript } from '@llmproxy/redis-script';

export interface SignOfLife {
  readonly worker: string;
  /** After this long without a sign of life a worker counts no more. */
  readonly ttlMs: number;
  /** 0: the clock of Redis. */
  readonly nowMs: number;
}

/** Says that a worker is alive; answers how many are. */
export const signOfLife = defineScript({
  file: new URL('./alive.lua', import.meta.url),
  keys: () => [limitKeys.workers],
  args: ({ worker, ttlMs, nowMs }: SignOfLife) => [nowMs, worker, ttlMs],
  reply: (alive: number) => alive,
});

/** The model of the script. `workers` is changed; returns how many are alive. */
export function signOfLifeInMemory(workers: Map<string, number>, sign: SignOfLife): number {
  workers.set(sign.worker, sign.nowMs);
  for (const [worker, atMs] of workers) {
    if (atMs > sign.nowMs) workers.set(worker, sign.nowMs);
    else if (atMs <= sign.nowMs - sign.ttlMs) workers.delete(worker);
  }
  return workers.size;
}
