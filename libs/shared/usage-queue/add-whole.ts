import type { RedisClient } from '@llmproxy/redis';
import type { JobsOptions, Queue } from 'bullmq';
import { isReply } from './size-limits.ts';
import type { UsageEvent } from './usage-event.ts';

export interface NewJob {
  name: string;
  data: UsageEvent[];
  opts: JobsOptions & { jobId: string };
}

/**
 * Adds a job, or nothing. BullMQ adds by a script; one that is refused half-way (a right that is missing, a key of the wrong
 * type) leaves the job remembered as queued, but in no list: it would be taken for a double whenever it is added again.
 * @throws what Redis or the connection says
 */
export async function addWhole(client: RedisClient, queue: Queue<UsageEvent[]>, job: NewJob): Promise<void> {
  try {
    await queue.add(job.name, job.data, job.opts);
  } catch (cause) {
    const id = job.opts.jobId;
    if (isReply(cause)) await client.del(queue.toKey(id), queue.toKey(`de:${id}`)).catch(() => undefined);
    throw cause;
  }
}
