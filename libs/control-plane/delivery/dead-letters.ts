/** Deliveries that failed for the last time: to look at, and to try again once the receiver is well. */
import { bullPrefix, closeRedis, connectForQueues, type RedisTarget } from '@llmproxy/redis';
import { deliveryQueueName, isWithoutData, type UsageEvent } from '@llmproxy/usage-queue';
import { Queue, type Job } from 'bullmq';

export interface DeadLetter {
  /** The `event_id` of a webhook's letter, the batch id of a database's. */
  id: string;
  events: UsageEvent[];
  /** What the last attempt failed with. */
  cause: string;
  attempts: number;
  /** RFC 3339. */
  failedAt: string;
}

export interface DeadLetters {
  /** Newest first, at most `limit` (default 100). */
  listDeadLetters(reporter: string, options?: { limit?: number }): Promise<DeadLetter[]>;
  /** Queues the letters again with all their attempts; returns how many. Unknown ids are skipped. */
  replayDeadLetters(reporter: string, ids: readonly string[] | 'all'): Promise<number>;
  close(): Promise<void>;
}

const page = 100;

/** Opens the dead letters of all reporters of one Redis. */
export function openDeadLetters(options: { redis: RedisTarget }): DeadLetters {
  const connection = connectForQueues({ ...options.redis, connectionName: 'llmproxy dead letters' });
  const withQueue = async <T>(
    reporter: string,
    work: (queue: Queue<UsageEvent[]>) => Promise<T>,
  ): Promise<T> => {
    const queue = new Queue<UsageEvent[]>(deliveryQueueName(reporter), {
      connection,
      prefix: bullPrefix,
      skipMetasUpdate: true,
    });
    queue.on('error', () => undefined);
    return work(queue).finally(() => queue.close());
  };
  return {
    listDeadLetters: (reporter, { limit = page } = {}) =>
      withQueue(reporter, async (queue) =>
        (await queue.getFailed(0, limit - 1)).filter(hasData).map(asDeadLetter),
      ),
    replayDeadLetters: (reporter, ids) =>
      withQueue(reporter, (queue) => (ids === 'all' ? replayAll(queue) : replayThese(queue, ids))),
    close: () => closeRedis(connection),
  };
}

function asDeadLetter(job: Job<UsageEvent[]>): DeadLetter {
  return {
    id: job.id ?? '',
    events: job.data,
    cause: job.failedReason,
    attempts: job.attemptsMade,
    failedAt: new Date(job.finishedOn ?? job.timestamp).toISOString(),
  };
}

async function replayThese(queue: Queue<UsageEvent[]>, ids: readonly string[]): Promise<number> {
  const jobs = await Promise.all(ids.map((id) => queue.getJob(id)));
  const replayed = await Promise.all(jobs.map((job) => (job ? replay(job) : false)));
  return replayed.filter(Boolean).length;
}

/** Oldest first, and only those that were dead when it began: a letter that fails again meanwhile is not retried for ever. */
async function replayAll(queue: Queue<UsageEvent[]>): Promise<number> {
  const startedMs = Date.now();
  let replayed = 0;
  for (let skipped = 0; ;) {
    const jobs = await queue.getJobs(['failed'], skipped, skipped + page - 1, true);
    const letters = jobs.filter(hasData);
    const lost = jobs.length - letters.length;
    const dead = letters.filter((job) => (job.finishedOn ?? 0) <= startedMs);
    if (dead.length + lost === 0) return replayed;
    skipped += lost;
    for (const job of dead) {
      if (await replay(job)) replayed += 1;
      else skipped += 1;
    }
  }
}

/** Not so where Redis has lost a letter, evicted for instance, and kept its id. */
const hasData = (job: Job | undefined): job is Job => job !== undefined && !isWithoutData(job);

/** False when another replay was faster. */
async function replay(job: Job): Promise<boolean> {
  try {
    await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true });
    return true;
  } catch {
    return false;
  }
}
