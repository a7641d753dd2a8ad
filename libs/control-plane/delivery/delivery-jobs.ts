/**
 * How deliveries lie in the queue of a reporter. A job carries an array of events. For a reporter that takes events one
 * by one it is a group of them, because a job costs Redis about 1.3 KB by itself; each event is still delivered, counted
 * and, in the end, buried by itself.
 */
import { batchId, fit, inBatches, type SizeLimits, type UsageEvent } from '@llmproxy/usage-queue';
import { Job, type JobsOptions } from 'bullmq';
import { checkOurs, leaveOnly, type JobUnderWay } from './job-under-way.ts';
import type { Reporter } from './reporter.ts';

/** Dead letters are kept for 14 days and up to 10,000 deliveries per reporter; the oldest go first. */
export const deadLettersKept = { age: 14 * 24 * 60 * 60, count: 10_000 } as const;

/** What a job costs by itself is small beside this many events, and a worker that is killed repeats no more of them. */
export const groupBounds = { count: 20, bytes: 64 * 1_024 } as const;

// A fan-out that was interrupted is repeated within a minute or so; until then a delivery already made is remembered.
const rememberedMs = 120_000;

export interface DeliveryJob {
  id: string;
  events: UsageEvent[];
}

export interface BatchJobs {
  jobs: DeliveryJob[];
  /** Redis does not take them, not even without their bodies. */
  lost: UsageEvent[];
}

/** The jobs of a batch: the same ones whenever it is fanned out, as long as Redis takes as much at once (`limits`). */
export function jobsOf(
  events: readonly UsageEvent[],
  batch: string,
  unit: Reporter['unit'],
  limits: SizeLimits,
): BatchJobs {
  const bounds = limits.bounds(unit === 'batch' ? events.length : groupBounds.count);
  const bytes = unit === 'batch' ? bounds.bytes : Math.min(bounds.bytes, groupBounds.bytes);
  const { batches, tooLarge, broken } = fit(events, { ...bounds, bytes });
  const isWhole = unit === 'batch' && batches.length === 1;
  const idOf = unit === 'batch' ? batchId : groupId;
  return {
    jobs: batches.map((group) => ({ id: isWhole ? batch : idOf(group), events: group })),
    lost: [...tooLarge, ...broken],
  };
}

/** Whether all of them may lie in one job. */
export const fitsGroup = (events: readonly UsageEvent[]): boolean =>
  inBatches(events, groupBounds).length === 1;

export function optionsFor(id: string, attempts: number): JobsOptions & { jobId: string } {
  return {
    jobId: id,
    attempts,
    backoff: { type: 'custom' },
    removeOnComplete: true,
    removeOnFail: deadLettersKept,
    stackTraceLimit: 0, // nobody reads it, and each waiting job would carry it
  };
}

/** As `optionsFor`, for what may be added twice: also after it was delivered, for a while. */
export const onceFor = (id: string, attempts: number): JobsOptions & { jobId: string } => ({
  ...optionsFor(id, attempts),
  deduplication: { id, ttl: rememberedMs },
});

/** Whether its failed job is what a dead letter has to be: of one event, and found by the id of that. */
export function isByItself({ id, data }: Job<UsageEvent[]>): boolean {
  const [event, ...others] = data;
  return event !== undefined && others.length === 0 && id === jobIdOf(event.event_id);
}

export interface LastFailure {
  event: UsageEvent;
  cause: Error;
}

/**
 * Makes a job of each of the last events of a group, which fails by itself after as many attempts as the group had, and
 * takes them out of the group. May be repeated after it was interrupted.
 * @throws the cause of the event whose job the group itself is: that one is left in it
 * @throws LettersHeldUp when nothing was done, because an event's job of before is still there, empty; it goes by itself
 * @throws TakenOver when the group is another worker's by now: it keeps its events, some may be dead letters besides
 */
export async function bury(underWay: JobUnderWay, failures: readonly LastFailure[]): Promise<void> {
  const { queue, job: group } = underWay;
  const own = failures.find(({ event }) => jobIdOf(event.event_id) === group.id);
  const others = failures.filter((failure) => failure !== own);
  const there = await Promise.all(others.map(({ event }) => queue.getJob(jobIdOf(event.event_id))));
  if (there.some((job) => job?.data.length === 0)) throw new LettersHeldUp();
  await checkOurs(underWay);
  // What is there was queued or buried a second time.
  const missing = others.filter((_, index) => there[index] === undefined);
  await addLetters(underWay, missing);
  // Whoever ends before this finds the letters there the next time.
  await leaveOnly(underWay, own === undefined ? [] : [own.event]);
  if (own !== undefined) throw own.cause;
}

/** All of them, or none that is not whole. @throws what Redis or the connection says */
async function addLetters(
  { redis, queue, job: group }: JobUnderWay,
  failures: readonly LastFailure[],
): Promise<void> {
  const client = await queue.backend.client;
  const transaction = client.multi();
  for (const { event, cause } of failures) {
    const id = jobIdOf(event.event_id);
    const letter = new Job(queue, 'event', [event], optionsFor(id, group.opts.attempts ?? 1), id);
    void queue.backend.addJobToTransaction(transaction, letter.asJSON(), id);
    // Fields that BullMQ itself writes: attempts made, and a failure that comes true when the job is taken up.
    transaction.hset(queue.toKey(id), { atm: group.attemptsMade, defa: cause.message });
  }
  const results = (await transaction.exec()) as [Error | null, unknown][];
  const refusal = results.map(([refused]) => refused).find((refused) => refused !== null);
  if (refusal === undefined) return;
  // A letter that was refused half-way is in no list, and would be taken for one that is there the next time.
  const halfMade = failures.filter((_, index) => results[index * 2]?.[0]);
  const keys = halfMade.map(({ event }) => queue.toKey(jobIdOf(event.event_id)));
  if (keys.length > 0) await redis.del(...keys).catch(() => undefined);
  throw refusal;
}

export class LettersHeldUp extends Error {}

/** BullMQ takes neither ':' nor whole numbers as job ids. A UUID is its own job id. */
export function jobIdOf(eventId: string): string {
  const id = encodeURIComponent(eventId);
  return /^\d+$/.test(id) ? `n${id}` : id;
}

function groupId(group: readonly UsageEvent[]): string {
  const [event, ...others] = group;
  return event !== undefined && others.length === 0 ? jobIdOf(event.event_id) : batchId(group);
}
