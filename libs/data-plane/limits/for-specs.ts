/** Limiters on a Redis of their own, for specs; closed in reverse order. */
import { randomUUID } from 'node:crypto';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { once } from 'node:events';
import type { Admission, Limiter, LimiterOptions, LimitRequest } from './index.ts';
import { openLimiter } from './index.ts';

export interface SpecLimiters extends AsyncDisposable {
  open(options?: Partial<LimiterOptions>): Promise<Limiter>;
  /** For looking at what is stored. */
  readonly redis: ReturnType<typeof connectRedis>;
}

export async function limitersOn(url: string, cluster = false): Promise<SpecLimiters> {
  const opened: (() => Promise<unknown>)[] = [];
  const connect = async (whenDown: 'queue' | 'fail') => {
    const redis = connectRedis({ url, cluster, connectionName: 'spec', whenDown });
    opened.push(() => closeRedis(redis));
    if (redis.status !== 'ready') await once(redis, 'ready');
    return redis;
  };
  return {
    redis: await connect('queue'),
    open: async (options = {}) => {
      const redis = options.redis ?? (await connect('fail'));
      const limiter = await openLimiter({
        redis,
        worker: randomUUID(),
        onFailure: 'deny',
        deadlineMs: 5000,
        ...options,
      });
      opened.push(() => limiter.close());
      return limiter;
    },
    async [Symbol.asyncDispose]() {
      for (const close of opened.reverse()) await close();
    },
  };
}

export const granted = (admissions: readonly Admission[]) =>
  admissions.filter((admission) => admission.outcome === 'granted');

/** `count` requests at once, spread over the limiters. */
export async function atOnce(
  limiters: readonly Limiter[],
  count: number,
  request: Omit<LimitRequest, 'id'>,
): Promise<Admission[]> {
  const limiterOf = (i: number) => limiters[i % limiters.length] as Limiter;
  return Promise.all(
    Array.from({ length: count }, (_, i) => limiterOf(i).admit({ id: randomUUID(), ...request })),
  );
}
