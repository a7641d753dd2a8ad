/**
 * A job in the hands of a worker. It is the worker's as long as it has the job's lock; one that is stopped or cut off for
 * longer loses that, and another worker goes on with what the job holds. So whoever changes that says what it takes it to be.
 */
import type { RedisClient } from '@llmproxy/redis';
import { defineScript } from '@llmproxy/redis-script';
import type { UsageEvent } from '@llmproxy/usage-queue';
import type { Job, Queue } from 'bullmq';

export interface JobUnderWay {
  redis: RedisClient;
  queue: Queue<UsageEvent[]>;
  job: Job<UsageEvent[]>;
  /** What the job's lock holds while it is ours. */
  token: string;
}

/** The job is another worker's by now, and its events with it. */
export class TakenOver extends Error {
  constructor() {
    super('the delivery took longer than its lock lasted; another worker makes it again');
  }
}

/** As BullMQ writes it. */
export const dataOf = (events: readonly UsageEvent[]): string => JSON.stringify(events);

/** The keys of the job and of its lock. */
export function keysOf({ queue, job }: JobUnderWay): [job: string, lock: string] {
  const key = queue.toKey(job.id ?? '');
  return [key, `${key}:lock`];
}

interface Call {
  underWay: JobUnderWay;
  events: readonly UsageEvent[];
}

const replaceData = defineScript<Call, number, boolean>({
  file: new URL('./replace-data.lua', import.meta.url),
  keys: ({ underWay }) => keysOf(underWay),
  args: ({ underWay: { job, token }, events }) => [token, dataOf(job.data), dataOf(events)],
  reply: (raw) => raw === 1,
});

/** Takes all other events out of the job. @throws TakenOver when nothing was changed */
export async function leaveOnly(underWay: JobUnderWay, events: UsageEvent[]): Promise<void> {
  if (!(await replaceData(underWay.redis, { underWay, events }))) throw new TakenOver();
  underWay.job.data = events;
}

/** @throws TakenOver when it is not; what is done after this may still be too late */
export async function checkOurs(underWay: JobUnderWay): Promise<void> {
  const [, lock] = keysOf(underWay);
  if ((await underWay.redis.get(lock)) !== underWay.token) throw new TakenOver();
}
