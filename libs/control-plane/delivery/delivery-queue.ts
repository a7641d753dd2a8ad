/**
 * The queue of one reporter and the worker that empties it. Guarantee: a delivery leaves the queue when the reporter took
 * it, or as a dead letter after the last attempt; nothing that happens to another reporter touches it.
 */
import { bullPrefix, type RedisClient } from '@llmproxy/redis';
import { deliveryQueueName, queueDepth, type QueueLog, type UsageEvent } from '@llmproxy/usage-queue';
import { forgotten, isWithoutData, tellsJobsWithoutData } from '@llmproxy/usage-queue';
import { Queue, WaitingError, Worker, type Job, type JobsOptions } from 'bullmq';
import { setTimeout as delay } from 'node:timers/promises';
import { afterDelivery, afterFailure, type ReporterHealth } from './core/reporter-health.ts';
import { retryDelayMs } from './core/retry-schedule.ts';
import { DeliveryRefused, type Reporter } from './reporter.ts';

/** How a delivery went: `retried` when a failed attempt is followed by another. Counted in events. */
export type DeliveryOutcome = 'delivered' | 'retried' | 'dead';

export interface DeliveryQueueOptions {
  connection: RedisClient;
  reporter: Reporter;
  log: QueueLog;
  onOutcome(reporter: string, outcome: DeliveryOutcome, events: number): void;
  onJobWithoutData?: ((queue: string) => void) | undefined;
}

/** Dead letters are kept for 14 days and up to 10,000 deliveries per reporter; the oldest go first. */
export const deadLettersKept = { age: 14 * 24 * 60 * 60, count: 10_000 } as const;

// A fan-out that was interrupted is repeated within a minute or so; until then a delivery already made is remembered.
const rememberedMs = 120_000;
// A worker that is killed takes its deliveries' locks with it; that is no failure of the delivery, however often.
const stalledMax = 1_000_000;
// How soon such a delivery is made by another: BullMQ renews locks by itself, they only outlast a busy event loop.
const lockMs = 15_000;
const stalledCheckMs = 5_000;
const streamEntriesMax = 1_000;

export class DeliveryQueue {
  readonly #options: DeliveryQueueOptions;
  readonly #queue: Queue<UsageEvent[]>;
  readonly #worker: Worker<UsageEvent[], void>;
  readonly #tellLoss: () => void;
  readonly #closing = new AbortController();
  #health: ReporterHealth = { state: 'delivering' };

  constructor(options: DeliveryQueueOptions) {
    const { connection, reporter } = options;
    const name = deliveryQueueName(reporter.name);
    this.#options = options;
    this.#tellLoss = tellsJobsWithoutData(name, options.log, options.onJobWithoutData);
    this.#queue = new Queue(name, {
      connection,
      prefix: bullPrefix,
      streams: { events: { maxLen: streamEntriesMax } },
    });
    this.#worker = new Worker(name, (job, token) => this.#deliver(job, token), {
      connection,
      prefix: bullPrefix,
      concurrency: reporter.concurrency,
      maxStalledCount: stalledMax,
      lockDuration: lockMs,
      stalledInterval: stalledCheckMs,
      runRetryDelay: 1_000,
      removeOnComplete: forgotten,
      settings: { backoffStrategy: (attempt, _type, cause) => this.#pauseMs(attempt, cause) },
    });
    // Outages of Redis are told by the connection, failed deliveries by #failed.
    this.#queue.on('error', () => undefined);
    this.#worker.on('error', () => undefined);
    this.#worker.on('failed', (job, cause) => this.#failed(job, cause));
  }

  /** Queues the batch; what is queued already, or was delivered a moment ago, is not queued again. */
  async add(events: readonly UsageEvent[], batchId: string): Promise<void> {
    const { unit, attemptsMax } = this.#options.reporter;
    const units = unit === 'batch' ? [{ id: batchId, data: [...events] }] : events.map(byItself);
    const options = (id: string): JobsOptions => ({
      jobId: id,
      deduplication: { id, ttl: rememberedMs },
      attempts: attemptsMax,
      backoff: { type: 'custom' },
      removeOnComplete: true,
      removeOnFail: deadLettersKept,
      stackTraceLimit: 1,
    });
    await this.#queue.addBulk(units.map(({ id, data }) => ({ name: unit, data, opts: options(id) })));
  }

  /** `ok`, or what the last attempt failed with. */
  health(): string {
    return this.#health.state === 'failing' ? `failing: ${this.#health.cause}` : 'ok';
  }

  depth(): Promise<number> {
    return queueDepth(this.#options.connection, this.#queue.name);
  }

  deadLetters(): Promise<number> {
    return this.#queue.getFailedCount();
  }

  ready(): Promise<void> {
    return this.#worker.waitUntilReady();
  }

  /** Finishes what is under way; what cannot be finished goes back to the queue. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#worker.close();
    await this.#queue.close();
    await this.#options.reporter.close();
  }

  async #deliver(job: Job<UsageEvent[]>, token: string | undefined): Promise<void> {
    if (isWithoutData(job)) return this.#tellLoss();
    const { reporter, onOutcome } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      try {
        await reporter.deliver(job.data);
        break;
      } catch (cause) {
        if (!reporter.isAway(cause)) throw cause;
        this.#healthIs(afterFailure(this.#health, messageOf(cause)));
        onOutcome(reporter.name, 'retried', job.data.length);
        await delay(this.#pauseMs(attempt), undefined, { signal: this.#closing.signal }).catch(
          () => undefined,
        );
        if (this.#closing.signal.aborted) await backToQueue(job, token);
      }
    }
    this.#healthIs(afterDelivery(this.#health));
    onOutcome(reporter.name, 'delivered', job.data.length);
  }

  #pauseMs(attempt: number, cause?: unknown): number {
    const retryAfterMs = cause instanceof DeliveryRefused ? cause.retryAfterMs : undefined;
    return retryDelayMs({ attempt, random: Math.random(), retryAfterMs }, this.#options.reporter.schedule);
  }

  #failed(job: Job<UsageEvent[]> | undefined, cause: Error): void {
    if (!job) return; // it stalled and is already someone else's
    const { reporter, onOutcome } = this.#options;
    this.#healthIs(afterFailure(this.#health, cause.message));
    onOutcome(reporter.name, job.finishedOn === undefined ? 'retried' : 'dead', job.data.length);
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

const byItself = (event: UsageEvent) => ({ id: jobIdOf(event.event_id), data: [event] });

/** BullMQ takes neither ':' nor whole numbers as job ids. A UUID is its own job id. */
export function jobIdOf(eventId: string): string {
  const id = encodeURIComponent(eventId);
  return /^\d+$/.test(id) ? `n${id}` : id;
}

async function backToQueue(job: Job, token: string | undefined): Promise<never> {
  await job.moveToWait(token);
  throw new WaitingError();
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
