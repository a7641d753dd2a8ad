/**
 * Sweeps at a steady pace, whatever the number of schedulers: the ticks come from one BullMQ job scheduler, which all
 * replicas share. Two sweeps at once, after a stall for instance, do no harm.
 */
import { openJobWorker, withoutWorker, type JobWorker, type QueueState } from '@llmproxy/job-worker';
import { bullPrefix, closeRedis, connectForQueues } from '@llmproxy/redis';
import type { RedisLog, RedisTarget } from '@llmproxy/redis';
import { atMost, repeat } from '@llmproxy/time';
import { Queue } from 'bullmq';
import { createSweep, type SweepEvents } from './sweep.ts';

export interface QuotaResetOptions extends SweepEvents {
  redis: RedisTarget;
  /** Between two sweeps. Default: 10 s. */
  intervalMs?: number;
  /** Hears when sweeps are asked for no more; outages of Redis are for another connection to tell. */
  log: RedisLog;
}

export interface QuotaReset extends QueueState {
  /** Resolves when the first sweep is due. Waits for Redis. */
  start(): Promise<void>;
  /** Stops the sweep under way; the next scheduler goes on. */
  close(): Promise<void>;
}

const queueName = 'limits';
const scheduleId = 'sweep';
const intervalMsDefault = 10_000;
const closeMsMax = 2_000;

export function openQuotaReset(options: QuotaResetOptions): QuotaReset {
  const { intervalMs = intervalMsDefault } = options;
  const connectionName = 'llmproxy-scheduler';
  const redis = connectForQueues({ ...options.redis, connectionName });
  const queue = new Queue(queueName, { connection: redis, prefix: bullPrefix });
  queue.on('error', () => undefined); // outages are told once, by the connection
  const stop = new AbortController();
  const sweep = createSweep({ ...options, redis });
  let worker: JobWorker | undefined;

  // A schedule can be lost: with a Redis that keeps nothing on disk, or with a scheduler killed between taking a tick
  // and queueing the next.
  const heal = async (): Promise<void> => {
    const { next = 0 } = (await queue.getJobScheduler(scheduleId)) ?? {};
    if (next < Date.now() - 2 * intervalMs) await schedule(queue, intervalMs);
  };
  const openSweeper = (): JobWorker =>
    openJobWorker({
      queue: queueName,
      connection: redis,
      handle: () => sweep(stop.signal).catch(() => undefined), // what Redis interrupted is made up for by the next tick
      log: options.log,
    });
  return {
    async start() {
      await schedule(queue, intervalMs);
      if (stop.signal.aborted) return;
      worker = openSweeper();
      await worker.ready();
      void repeat(heal, intervalMs, stop.signal);
    },
    isWell: () => (worker ?? withoutWorker(redis)).isWell(),
    found: () => (worker ?? withoutWorker(redis)).found(),
    async close() {
      stop.abort();
      // While Redis is away its commands wait, and so would we.
      await atMost(worker?.close(), closeMsMax);
      await atMost(queue.close(), closeMsMax);
      await closeRedis(redis);
    },
  };
}

async function schedule(queue: Queue, intervalMs: number): Promise<void> {
  await queue.upsertJobScheduler(
    scheduleId,
    { every: intervalMs },
    { name: 'sweep', opts: { removeOnComplete: true, removeOnFail: true } },
  );
}
