/** Where limits are kept for all workers of all gateways: Redis. The one border that the limiter asks across. */
import type { Cluster, Redis } from 'ioredis';
import { limitKeys, transact, type Batch, type Transacted } from '@llmproxy/limit-state';
import { signOfLife } from './alive.ts';

/** Each call rejects with what Redis or the connection says, and may not end at all: who calls has a deadline. */
export interface LimitServer {
  /** On a cluster all scopes of a batch have to have one tag. */
  readonly isCluster: boolean;
  /** Whether there is a connection; without one a call need not be tried. */
  isReady(): boolean;
  /** Resolves when there is a connection, which may be never. */
  untilReady(): Promise<unknown>;
  transact(batch: Batch): Promise<Transacted>;
  /** Says that a worker is alive, for `ttlMs`; resolves with how many are. */
  sign(worker: string, ttlMs: number): Promise<number>;
  /** A worker is not alive any more. */
  leave(worker: string): Promise<unknown>;
  /** Notes scopes for the scheduler to look after, used at `nowMs`. */
  noteTags(tags: readonly string[], nowMs: number): Promise<unknown>;
}

/** @param redis a connection that rejects commands at once while it is down */
export const onRedis = (redis: Redis | Cluster): LimitServer => ({
  isCluster: redis.isCluster,
  isReady: () => redis.status === 'ready',
  untilReady: () =>
    new Promise<void>((resolve) => {
      if (redis.status === 'ready') resolve();
      else redis.once('ready', () => resolve());
    }),
  transact: (batch) => transact(redis, batch),
  sign: (worker, ttlMs) => signOfLife(redis, { worker, ttlMs, nowMs: 0 }),
  leave: (worker) => redis.zrem(limitKeys.workers, worker),
  noteTags: (tags, nowMs) => redis.zadd(limitKeys.tags, 'GT', ...tags.flatMap((tag) => [nowMs, tag])),
});
