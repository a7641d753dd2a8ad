/** The worker's end of the queue. Guarantee: a batch leaves the queue only after `handle` resolved for it. */
import { openJobWorker, type QueueState } from '@llmproxy/job-worker';
import { UnrecoverableError, type Job } from 'bullmq';
import { asBatch } from './batch.ts';
import { connectWaiting, untilGone, type QueueRedis } from './queue-connection.ts';
import { forgotten, isWithoutData, tellsJobsWithoutData } from './jobs-without-data.ts';
import { queueDepth } from './queue-depth.ts';
import { usageQueueName } from './queue-names.ts';
import type { QueueLog } from './queue-log.ts';
import type { UsageEvent } from './usage-event.ts';
import { withDeadline } from '@llmproxy/time';

export type UsageConsumerOptions = QueueRedis & {
  /** Called once per batch, and again if it rejected or its process died: must be idempotent. */
  handle(events: UsageEvent[], batchId: string): Promise<void>;
  log: QueueLog;
  /** Called for each job that has lost its data in Redis; it is told in the log, and not tried again. */
  onJobWithoutData?(queue: string): void;
  /** Batches handled at once. Default 4. */
  concurrency?: number;
};

export interface UsageConsumer extends QueueState {
  /** Resolves when connected and consuming. */
  ready(): Promise<void>;
  /** Batches in the queue, those being handled included. */
  depth(): Promise<number>;
  /** Finishes the batches under way, at most `deadlineMs`; what is cut off is delivered to the next consumer. */
  close(deadlineMs: number): Promise<void>;
}

// A batch whose consumer is killed goes back to the queue; it is not the batch's fault, however often it happens.
const stalledMax = 1_000_000;
// How soon that happens: BullMQ renews locks by itself, so they only need to outlast a busy event loop.
const lockMs = 10_000;
const stalledCheckMs = 5_000;
const retryMsMax = 60_000;
const retryDelayMs = (attempt: number): number =>
  Math.min(1_000 * 2 ** Math.min(attempt - 1, 10), retryMsMax);

/** Starts consuming; returns at once, whether Redis is there or not. */
export function openUsageConsumer(options: UsageConsumerOptions): UsageConsumer {
  const redis = connectWaiting(options, options.log);
  const tellLoss = tellsJobsWithoutData(usageQueueName, options.log, options.onJobWithoutData);
  const handle = async (job: Job<unknown>): Promise<void> => {
    if (isWithoutData(job)) return tellLoss();
    await options.handle(eventsOf(job), job.id ?? '');
  };
  const worker = openJobWorker<unknown>({
    queue: usageQueueName,
    connection: redis.client,
    handle,
    bullMq: {
      concurrency: options.concurrency ?? 4,
      maxStalledCount: stalledMax,
      lockDuration: lockMs,
      stalledInterval: stalledCheckMs,
      runRetryDelay: 1_000,
      removeOnComplete: forgotten,
      settings: { backoffStrategy: retryDelayMs },
    },
    onFailed(job, cause) {
      const isGivenUp = job?.finishedOn !== undefined;
      if (isGivenUp)
        options.log.error(
          { batch: job.id, cause: cause.message },
          'usage batch not handled; kept in the failed set',
        );
    },
    log: (level, message) => options.log[level]({}, message),
  });
  return {
    ready: () => worker.ready(),
    isWell: () => worker.isWell(),
    found: () => worker.found(),
    depth: () => queueDepth(redis.client, usageQueueName),
    close: async (deadlineMs) => {
      // Without Redis no batch can be acknowledged any more: it will be handled again, so nothing is worth waiting for.
      const finished = Promise.race([worker.close(), untilGone(redis.client)]);
      await withDeadline(finished, deadlineMs).catch(() => undefined);
      await redis.release();
    },
  };
}

function eventsOf(job: Job<unknown>): UsageEvent[] {
  try {
    return asBatch(job.data);
  } catch {
    throw new UnrecoverableError('not a batch of usage events');
  }
}
