/**
 * Jobs whose data is gone: Redis evicted it, or somebody deleted it, while the job's id waits in the queue on. BullMQ
 * hands such a job out all the same, without name, options and data. Trying it again cannot help.
 */
import type { Job, KeepJobs } from 'bullmq';
import type { QueueLog } from './queue-log.ts';

const tellAgainMs = 60_000;

/** A worker's word for jobs that have lost their own: nothing of them is kept. */
export const forgotten: KeepJobs = { count: 0 };

/** Whether the data of this job is gone. */
export function isWithoutData(job: Job): boolean {
  // BullMQ's types promise a name.
  return (job.name as string | undefined) === undefined;
}

/** Returns what is to be called for each such job of the queue; it is told once, then once a minute at most. */
export function tellsJobsWithoutData(
  queue: string,
  log: QueueLog,
  onJobWithoutData: (queue: string) => void = () => undefined,
): () => void {
  let jobs = 0;
  let toldMs = -Infinity;
  return () => {
    jobs += 1;
    onJobWithoutData(queue);
    if (performance.now() - toldMs < tellAgainMs) return;
    toldMs = performance.now();
    log.error({ queue, jobs }, 'jobs have lost their data in Redis: evicted? what they held is lost');
  };
}
