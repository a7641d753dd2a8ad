/**
 * The gateway's end of the queue. Guarantee: `push` never waits and never throws, and an event that was pushed is
 * acknowledged by Redis or written to the spool before `close` resolves.
 *
 * States of the way to Redis:
 * - `connecting`: no answer yet; batches wait in memory → `up` on the first successful write, `away` after `connectMs`
 * - `up`: batches are sent, a few at a time → `away` when one is refused or unanswered for `sendMs`, or at a `refusal`
 * - `away`: batches go to the spool; a small write is tried every `probeMs` → `up`, which replays the spool
 */
import { bullPrefix } from '@llmproxy/redis';
import { Queue } from 'bullmq';
import { setTimeout as delay } from 'node:timers/promises';
import { tryWrite, watchAcceptance, type Acceptance } from './acceptance.ts';
import { batchId, countEvents, inBatches } from './batch.ts';
import { connectFailingFast, type QueueConnection } from './queue-connection.ts';
import {
  batchBytesMax,
  batchRememberedMs,
  failedBatches,
  streamEntriesMax,
  usageQueueName,
} from './queue-names.ts';
import { Spool } from './spool.ts';
import type { UsageEvent } from './usage-event.ts';
import type { UsageCounts, UsageProducer, UsageProducerOptions } from './producer.ts';
import { withDeadline } from './with-deadline.ts';

/** Opens the gateway's end of the queue; returns at once, whether Redis is there or not. */
export function openUsageProducer(options: UsageProducerOptions): UsageProducer {
  return new BatchingProducer(options);
}

const inFlightMax = 4;
const connectMs = 1_000;
const probeMs = 500;
const lookForSpoolMs = 10_000;
const dropFactor = 10;

class BatchingProducer implements UsageProducer {
  readonly #options: Required<Omit<UsageProducerOptions, 'redis' | 'connection'>>;
  readonly #redis: QueueConnection;
  readonly #spool: Spool;
  readonly #acceptance: Acceptance;
  readonly #counts: UsageCounts = { sent: 0, spooled: 0, dropped: 0 };
  #state: 'connecting' | 'up' | 'away' = 'connecting';
  #queue: Queue<UsageEvent[]> | undefined;
  #buffer: UsageEvent[] = [];
  #waiting: UsageEvent[][] = [];
  /** Batches that the disk refused; tried again at the next probe. */
  #parked: UsageEvent[][] = [];
  readonly #sending = new Set<UsageEvent[]>();
  readonly #spooling = new Set<UsageEvent[]>();
  #timer: NodeJS.Timeout | undefined;
  #lookedForSpoolMs = 0;
  #replaying: Promise<void> | undefined;
  #closing = false;
  #spoolFails = false;
  #isDropping = false;
  #idleWaiters: (() => void)[] = [];
  readonly #stopProbing = new AbortController();

  constructor(options: UsageProducerOptions) {
    this.#options = {
      batchMax: 100,
      batchMs: 50,
      heldMax: 10_000,
      sendMs: 1_000,
      closeMs: 2_000,
      refusal: () => undefined,
      ...options,
    };
    this.#redis = connectFailingFast(options);
    this.#spool = new Spool(options.spoolDir);
    this.#acceptance = watchAcceptance(options.log);
    void this.#watchRedis();
  }

  push(event: UsageEvent): void {
    this.#buffer.push(event);
    if (this.#timer === undefined) this.#timer = setTimeout(this.#cut, this.#options.batchMs);
    if (this.#buffer.length === this.#options.batchMax) setImmediate(this.#cut);
  }

  pending(): number {
    return (
      this.#buffer.length +
      countEvents([...this.#waiting, ...this.#parked, ...this.#sending, ...this.#spooling])
    );
  }

  counts(): UsageCounts {
    return { ...this.#counts };
  }

  found(): string {
    return this.#state === 'connecting' ? 'not connected yet' : this.#acceptance.found();
  }

  async flush(): Promise<void> {
    this.#cut();
    if (this.pending() === 0) return;
    await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    const flushed = this.flush();
    await withDeadline(flushed, this.#options.closeMs).catch(() => undefined);
    this.#stopProbing.abort();
    // What Redis has not acknowledged by now may still arrive; its id keeps it from being counted twice.
    const rest = [...this.#sending, ...this.#waiting, ...this.#parked];
    this.#waiting = [];
    this.#parked = [];
    await Promise.all(rest.map((events) => this.#toSpool(events)));
    await this.#replaying;
    await this.#spool.close();
    await this.#queue?.close().catch(() => undefined);
    await this.#redis.release();
  }

  readonly #cut = (): void => {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#buffer.length === 0) return;
    this.#waiting.push(...inBatches(this.#buffer, { count: this.#options.batchMax, bytes: batchBytesMax }));
    this.#buffer = [];
    this.#pump();
  };

  /** Moves waiting batches on: to Redis when it is up, to disk when it is not or when memory is short. */
  #pump(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#state === 'away' || countEvents(this.#waiting) > this.#options.heldMax)
        void this.#toSpool(next);
      else if (this.#state === 'up' && this.#sending.size < inFlightMax) void this.#send(next);
      else return;
      this.#waiting.shift();
    }
    if (this.#idleWaiters.length > 0 && this.pending() === 0) {
      for (const resolve of this.#idleWaiters.splice(0)) resolve();
    }
  }

  async #send(events: UsageEvent[]): Promise<void> {
    this.#sending.add(events);
    try {
      await this.#enqueue(events);
    } catch (cause) {
      if (this.#stopProbing.signal.aborted) return; // `close` has spooled it
      this.#goAway(cause);
      await this.#toSpool(events);
    } finally {
      this.#sending.delete(events);
      this.#pump();
    }
  }

  /** One batch, one job. @throws when Redis has not acknowledged it within `sendMs` */
  async #enqueue(events: UsageEvent[]): Promise<void> {
    const queue = this.#queue;
    if (!queue) throw new Error('not connected');
    const id = batchId(events);
    const added = queue.add('batch', events, {
      jobId: id,
      deduplication: { id, ttl: batchRememberedMs },
      removeOnComplete: true,
      removeOnFail: failedBatches,
      attempts: 1_000,
      backoff: { type: 'custom' },
      stackTraceLimit: 1,
    });
    await withDeadline(added, this.#options.sendMs);
    this.#counts.sent += events.length;
    this.#acceptance.batchTaken();
  }

  async #toSpool(events: UsageEvent[]): Promise<void> {
    this.#spooling.add(events);
    try {
      await this.#spool.append(events);
      this.#counts.spooled += events.length;
      this.#spoolFails = false;
      this.#isDropping = false;
    } catch (cause) {
      if (!this.#spoolFails)
        this.#options.log.error({ cause: text(cause) }, 'usage events cannot be spooled to disk');
      this.#spoolFails = true;
      this.#park(events);
    } finally {
      this.#spooling.delete(events);
      this.#pump();
    }
  }

  #park(events: UsageEvent[]): void {
    if (countEvents(this.#parked) < this.#options.heldMax * dropFactor) {
      this.#parked.push(events);
      return;
    }
    this.#counts.dropped += events.length;
    if (!this.#isDropping)
      this.#options.log.error({}, 'usage events are lost: neither Redis nor the disk takes them');
    this.#isDropping = true;
  }

  #goAway(cause: unknown): void {
    if (this.#state === 'away') return;
    if (this.#state === 'up') this.#acceptance.batchRefused(text(cause));
    else this.#acceptance.writeRefused(text(cause));
    this.#state = 'away';
    const queue = this.#queue;
    this.#queue = undefined;
    void queue?.close().catch(() => undefined);
    this.#pump();
  }

  /** Runs for the producer's life: finds out when Redis takes writes (again), then replays what is on disk. */
  async #watchRedis(): Promise<void> {
    const startedMs = performance.now();
    while (!this.#stopProbing.signal.aborted) {
      const refusal = this.#options.refusal();
      if (refusal !== undefined && this.#state === 'up') this.#goAway(refusal);
      if (this.#state === 'up') await this.#replayNow();
      else if (await this.#takesWrites()) this.#comeBack();
      else if (this.#state === 'connecting' && performance.now() - startedMs > connectMs)
        this.#goAway(refusal ?? 'no connection');
      this.#waiting.push(...this.#parked.splice(0));
      this.#pump();
      const pauseMs = this.#state === 'connecting' ? 20 : probeMs;
      await delay(pauseMs, undefined, { signal: this.#stopProbing.signal, ref: false }).catch(
        () => undefined,
      );
    }
  }

  async #takesWrites(): Promise<boolean> {
    try {
      const refusal = this.#options.refusal();
      if (refusal !== undefined) throw new Error(refusal);
      await tryWrite(this.#redis.client, this.#options.sendMs);
      return true;
    } catch (cause) {
      if (this.#state === 'away') this.#acceptance.writeRefused(text(cause));
      return false;
    }
  }

  #comeBack(): void {
    const connection = this.#redis.client;
    const streams = { events: { maxLen: streamEntriesMax } };
    this.#queue = new Queue<UsageEvent[]>(usageQueueName, { connection, prefix: bullPrefix, streams });
    this.#queue.on('error', () => undefined); // a failed send is what counts, and it is reported
    this.#acceptance.writeTaken();
    this.#state = 'up';
    this.#lookedForSpoolMs = 0;
    this.#pump();
  }

  async #replayNow(): Promise<void> {
    const nowMs = performance.now();
    if (this.#lookedForSpoolMs !== 0 && nowMs - this.#lookedForSpoolMs < lookForSpoolMs) return;
    this.#lookedForSpoolMs = nowMs;
    this.#replaying = this.#spool
      .replay({
        send: async (events) => {
          if (this.#stopProbing.signal.aborted) throw new Error('closing');
          await this.#enqueue(events);
        },
        onUnreadable: (file) =>
          this.#options.log.error({ file }, 'a spooled line is unreadable; kept in unreadable.txt'),
      })
      .then(
        (batches) => batches > 0 && this.#options.log.info({ batches }, 'spooled usage events replayed'),
        (cause) => this.#closing || this.#goAway(cause),
      )
      .then(() => undefined);
    await this.#replaying;
  }
}

const text = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
