/**
 * The queue of one reporter and the worker that empties it. Guarantee: a delivery leaves the queue when the reporter took
 * it, or as a dead letter after the last attempt; nothing that happens to another reporter touches it.
 */
import { openJobWorker, type JobWorker } from '@llmproxy/job-worker';
import { bullPrefix, type RedisClient } from '@llmproxy/redis';
import {
  addWhole,
  deliveryQueueName,
  queueDepth,
  type QueueLog,
  type SizeLimits,
  type UsageEvent,
} from '@llmproxy/usage-queue';
import { forgotten, isWithoutData, tellsJobsWithoutData } from '@llmproxy/usage-queue';
import { DelayedError, Queue, WaitingError, type Job } from 'bullmq';
import { setTimeout as delay } from 'node:timers/promises';
import { afterDelivery, afterFailure, type ReporterHealth } from './core/reporter-health.ts';
import { retryDelayMs } from './core/retry-schedule.ts';
import { slots } from './core/slots.ts';
import { bury, isByItself, jobsOf, LettersHeldUp, onceFor } from './delivery-jobs.ts';
import { leaveOnly, type JobUnderWay } from './job-under-way.ts';
import { DeliveryRefused, type Reporter } from './reporter.ts';
import { WaitingGroups } from './waiting-groups.ts';

/** How a delivery went: `retried` when a failed attempt is followed by another. Counted in events. */
export type DeliveryOutcome = 'delivered' | 'retried' | 'dead';

export interface DeliveryQueueOptions {
  connection: RedisClient;
  /** What the connection's Redis takes at once. */
  limits: SizeLimits;
  reporter: Reporter;
  log: QueueLog;
  onOutcome(reporter: string, outcome: DeliveryOutcome, events: number): void;
  onJobWithoutData?: ((queue: string) => void) | undefined;
}

// A worker that is killed takes its deliveries' locks with it; that is no failure of the delivery, however often.
const stalledMax = 1_000_000;
// How soon such a delivery is made by another: BullMQ renews locks by itself, they only outlast a busy event loop.
const lockMs = 15_000;
const stalledCheckMs = 5_000;
const streamEntriesMax = 1_000;

/** Events that an attempt did not deliver; without a cause when there was none because the worker is closing. */
interface Undelivered {
  events: UsageEvent[];
  cause: Error | undefined;
}
type Failure = Undelivered & { cause: Error };

export class DeliveryQueue {
  readonly #options: DeliveryQueueOptions;
  readonly #queue: Queue<UsageEvent[]>;
  readonly #worker: JobWorker;
  readonly #tellLoss: () => void;
  readonly #closing = new AbortController();
  readonly #waiting = new WaitingGroups();
  readonly #inSlot: ReturnType<typeof slots>;
  #health: ReporterHealth = { state: 'delivering' };

  constructor(options: DeliveryQueueOptions) {
    const { connection, reporter } = options;
    const name = deliveryQueueName(reporter.name);
    this.#options = options;
    this.#inSlot = slots(reporter.concurrency);
    this.#tellLoss = tellsJobsWithoutData(name, options.log, options.onJobWithoutData);
    this.#queue = new Queue(name, {
      connection,
      prefix: bullPrefix,
      streams: { events: { maxLen: streamEntriesMax } },
    });
    this.#queue.on('error', () => undefined); // outages of Redis are told by the connection
    this.#worker = openJobWorker<UsageEvent[]>({
      queue: name,
      connection,
      handle: (job, token = '') => this.#work({ redis: connection, queue: this.#queue, job, token }),
      bullMq: {
        concurrency: reporter.concurrency,
        maxStalledCount: stalledMax,
        lockDuration: lockMs,
        stalledInterval: stalledCheckMs,
        runRetryDelay: 1_000,
        removeOnComplete: forgotten,
        settings: { backoffStrategy: (attempt, _type, cause) => this.#pauseMs(attempt, cause) },
      },
      onFailed: (job, cause) => this.#failed(job, cause),
      log: (level, message) => options.log[level]({}, message),
    });
  }

  /** Queues the batch; what is queued already, or was delivered a moment ago, is not queued again. */
  async add(events: readonly UsageEvent[], batchId: string): Promise<void> {
    const { connection, limits, reporter } = this.#options;
    const { unit, attemptsMax } = reporter;
    const { jobs, lost } = jobsOf(events, batchId, unit, limits);
    const added = await Promise.allSettled(
      jobs.map(({ id, events: data }) =>
        addWhole(connection, this.#queue, { name: unit, data, opts: onceFor(id, attemptsMax) }),
      ),
    );
    for (const result of added) if (result.status === 'rejected') throw result.reason;
    for (const { event_id } of lost) this.#lost(event_id);
  }

  #lost(event_id: string): void {
    const { log, reporter, onOutcome } = this.#options;
    onOutcome(reporter.name, 'dead', 1);
    log.error(
      { event_id, reporter: reporter.name },
      'a usage event is lost to a reporter: it is too large for Redis even without its body',
    );
  }

  /** Whether deliveries are taken from the queue; those that fail do not matter. */
  isWell(): boolean {
    return this.#worker.isWell();
  }

  /** Why nothing is taken from the queue, else what the last attempt failed with, else `ok`. */
  health(): string {
    if (!this.#worker.isWell()) return this.#worker.found();
    return this.#health.state === 'failing' ? `failing: ${this.#health.cause}` : this.#worker.found();
  }

  depth(): Promise<number> {
    return queueDepth(this.#options.connection, this.#queue.name);
  }

  deadLetters(): Promise<number> {
    return this.#queue.getFailedCount();
  }

  ready(): Promise<void> {
    return this.#worker.ready();
  }

  /** Finishes what is under way; what cannot be finished goes back to the queue. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#worker.close();
    await this.#queue.close();
    await this.#options.reporter.close();
  }

  /** One attempt at a job. What was delivered leaves it, so that the next attempt is at the rest. */
  async #work(underWay: JobUnderWay): Promise<void> {
    const { job } = underWay;
    if (isWithoutData(job)) return this.#tellLoss();
    const { unit } = this.#options.reporter;
    const parts = unit === 'batch' ? [job.data] : job.data.map((event) => [event]);
    const results = await Promise.all(parts.map((events) => this.#inSlot(() => this.#attempt(events))));
    const rest = results.filter((result) => result !== undefined);
    if (rest.length === 0) return;
    if (rest.length < parts.length) {
      await leaveOnly(
        underWay,
        rest.flatMap(({ events }) => events),
      );
    }
    const failures = rest.filter((part): part is Failure => part.cause !== undefined);
    if (failures.length < rest.length) await backToQueue(underWay);
    await this.#tryAgain(underWay, failures);
  }

  /** The rest of a job waits for its next attempt, or after the last one becomes dead letters. @throws the failure to wait for */
  async #tryAgain(underWay: JobUnderWay, failures: readonly Failure[]): Promise<void> {
    const { job } = underWay;
    const { name, unit } = this.#options.reporter;
    const cause = longestPause(failures);
    const isLast = job.attemptsMade + 1 >= (job.opts.attempts ?? 1);
    if (unit === 'batch' || (isLast && isByItself(job))) throw cause;
    if (isLast) return this.#bury(underWay, failures);
    if (pauseAskedMs(cause) > 0 || !(await this.#waiting.join(underWay))) throw cause;
    this.#healthIs(afterFailure(this.#health, cause.message));
    this.#options.onOutcome(name, 'retried', job.data.length);
  }

  async #bury(underWay: JobUnderWay, failures: readonly Failure[]): Promise<void> {
    const each = failures.flatMap(({ events, cause }) => events.map((event) => ({ event, cause })));
    try {
      await bury(underWay, each);
    } catch (cause) {
      if (!(cause instanceof LettersHeldUp)) throw cause;
      await underWay.job.moveToDelayed(Date.now() + stalledCheckMs, underWay.token);
      throw new DelayedError();
    }
  }

  /** @returns undefined when the reporter took them */
  async #attempt(events: UsageEvent[]): Promise<Undelivered | undefined> {
    const { reporter, onOutcome } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      if (this.#closing.signal.aborted) return { events, cause: undefined };
      try {
        await reporter.deliver(events);
        break;
      } catch (thrown) {
        const cause = thrown instanceof Error ? thrown : new Error(String(thrown));
        if (!reporter.isAway(thrown)) return { events, cause };
        this.#healthIs(afterFailure(this.#health, cause.message));
        onOutcome(reporter.name, 'retried', events.length);
        await delay(this.#pauseMs(attempt), undefined, { signal: this.#closing.signal }).catch(
          () => undefined,
        );
      }
    }
    this.#healthIs(afterDelivery(this.#health));
    onOutcome(reporter.name, 'delivered', events.length);
    return undefined;
  }

  #pauseMs(attempt: number, cause?: Error): number {
    const retryAfterMs = cause === undefined ? 0 : pauseAskedMs(cause);
    return retryDelayMs({ attempt, random: Math.random(), retryAfterMs }, this.#options.reporter.schedule);
  }

  #failed(job: Job<UsageEvent[]> | undefined, cause: Error): void {
    if (!job) return; // it stalled and is already someone else's
    const { reporter, onOutcome } = this.#options;
    this.#healthIs(afterFailure(this.#health, cause.message));
    const isDead = job.finishedOn !== undefined;
    onOutcome(reporter.name, isDead ? 'dead' : 'retried', job.data.length);
    if (!isDead && reporter.unit === 'event' && pauseAskedMs(cause) === 0) this.#waiting.begin(job);
  }

  #healthIs(health: ReporterHealth): void {
    const { log, reporter } = this.#options;
    const before = this.#health;
    this.#health = health;
    if (before.state === health.state) return;
    if (health.state === 'failing') {
      log.warn(
        { reporter: reporter.name, cause: health.cause },
        'reporter fails; its deliveries are retried',
      );
    } else if (before.state === 'failing') {
      log.info({ reporter: reporter.name, failedAttempts: before.failedAttempts }, 'reporter delivers again');
    }
  }
}

const pauseAskedMs = (cause: Error): number =>
  cause instanceof DeliveryRefused ? (cause.retryAfterMs ?? 0) : 0;

/** Of several failures the one whose receiver asked for the longest pause. */
function longestPause(failures: readonly Failure[]): Error {
  const causes = failures.map(({ cause }) => cause);
  return causes.toSorted((a, b) => pauseAskedMs(b) - pauseAskedMs(a))[0] ?? new Error('not delivered');
}

async function backToQueue({ job, token }: JobUnderWay): Promise<never> {
  await job.moveToWait(token);
  throw new WaitingError();
}
