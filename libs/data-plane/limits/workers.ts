/** Tells Redis every five seconds that this worker is alive, and remembers how many are. */
import type { Cluster, Redis } from 'ioredis';
import { limitKeys } from '@llmproxy/limit-state';
import { atMost } from '@llmproxy/time';
import { signOfLife } from './alive.ts';

export interface WorkersOptions {
  readonly redis: Redis | Cluster;
  readonly worker: string;
  /** A sign without an answer for this long has failed. */
  readonly deadlineMs: number;
}

const ttlMs = 15_000;

export class Workers {
  readonly #options: WorkersOptions;
  /** When Redis last answered. */
  alive = 0;

  constructor(options: WorkersOptions) {
    this.#options = options;
  }

  /** Rejects when Redis does not answer in time. */
  async sign(deadlineMs = this.#options.deadlineMs): Promise<void> {
    const { redis, worker } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('Redis does not answer')), deadlineMs);
    });
    try {
      this.alive = await Promise.race([signOfLife(redis, { worker, ttlMs, nowMs: 0 }), tooLong]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The others share the limits among themselves; should Redis not answer in time, they will in `ttlMs`. */
  async leave(): Promise<void> {
    const { redis, worker, deadlineMs } = this.#options;
    if (redis.status === 'ready') await atMost(redis.zrem(limitKeys.workers, worker), deadlineMs);
  }
}
