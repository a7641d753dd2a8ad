/**
 * The gateway's end of the queue. Guarantee: `push` never waits and never throws, and an event that was pushed is
 * acknowledged by Redis or written to the spool before `close` resolves.
 *
 * States of the way to Redis:
 * - `connecting`: no answer yet; batches wait in memory → `up` on the first successful write, `away` after `connectMs`
 * - `up`: batches are sent, a few at a time → `away` when one is refused or unanswered for `sendMs`, or at a `refusal`
 * - `away`: batches go to the spool; a small write is tried every `probeMs` → `up`, which replays the spool
 */
import { setTimeout as delay } from 'node:timers/promises';
import { watchAcceptance, type Acceptance } from './acceptance.ts';
import { BatchSender } from './batch-sender.ts';
import { countEvents, inBatches } from './batch.ts';
import { bytesIfKnown } from './event-size.ts';
import { LostEvents } from './lost-events.ts';
import type { UsageCounts, UsageProducer, UsageProducerOptions } from './producer.ts';
import { connectFailingFast, type QueueConnection } from './queue-connection.ts';
import { batchBytesMax } from './queue-names.ts';
import { Spool } from './spool.ts';
import type { UsageEvent } from './usage-event.ts';
import { withDeadline } from '@llmproxy/time';

/** Opens the gateway's end of the queue; returns at once, whether Redis is there or not. */
export function openUsageProducer(options: UsageProducerOptions): UsageProducer {
  return new BatchingProducer(options);
}

const inFlightMax = 4;
const connectMs = 1_000;
const probeMs = 500;
/** A queue that is refused again each time Redis is back is tried less and less often, down to this. */
const probeMsMax = 4_000;
const lookForSpoolMs = 10_000;
const dropFactor = 10;

class BatchingProducer implements UsageProducer {
  readonly #options: Required<Omit<UsageProducerOptions, 'redis' | 'connection'>>;
  readonly #redis: QueueConnection;
  readonly #spool: Spool;
  readonly #counts: UsageCounts = { sent: 0, spooled: 0, dropped: 0, bodiesOmitted: 0, refused: 0 };
  #state: 'connecting' | 'up' | 'away' = 'connecting';
  readonly #lost: LostEvents;
  readonly #sender: BatchSender;
  readonly #acceptance: Acceptance;
  #isDropping = false;
  #spooledBefore = 0;
  /** How often Redis came back since it took a batch. */
  #comebacks = 0;
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
    const { log, batchMax, sendMs } = this.#options;
    this.#acceptance = watchAcceptance(log);
    this.#lost = new LostEvents(this.#spool, this.#counts, log);
    this.#sender = new BatchSender({ client: this.#redis.client, log, batchMax, sendMs });
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
    if (this.#state === 'connecting') return 'not connected yet';
    const found = this.#acceptance.found();
    if (this.#acceptance.isWell()) return found;
    return `${found}; ${this.#counts.spooled - this.#spooledBefore} events spooled since then`;
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
    await this.#sender.close();
    await this.#redis.release();
  }

  readonly #cut = (): void => {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#buffer.length === 0) return;
    const bounds = { count: this.#options.batchMax, bytes: batchBytesMax };
    this.#waiting.push(...inBatches(this.#buffer, bounds, bytesIfKnown));
    this.#buffer = [];
    this.#pump();
  };

  /** Moves waiting batches on: to Redis when it is up, to disk when it is not or when memory is short. */
  #pump(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const toDisk = this.#state === 'away' || countEvents(this.#waiting) > this.#options.heldMax;
      if (!toDisk && (this.#state !== 'up' || this.#sending.size >= inFlightMax)) return;
      this.#waiting.shift();
      void (toDisk ? this.#toSpool(next) : this.#send(next));
    }
    if (this.#idleWaiters.length > 0 && this.pending() === 0) {
      for (const resolve of this.#idleWaiters.splice(0)) resolve();
    }
  }

  async #send(events: UsageEvent[]): Promise<void> {
    this.#sending.add(events);
    try {
      await this.#deliver(events);
    } catch (cause) {
      if (this.#stopProbing.signal.aborted) return; // `close` has spooled it
      if (this.#waitsAgain(this.#lost.remains(events))) return;
      this.#goAway(cause);
      await this.#toSpool(events);
    } finally {
      this.#sending.delete(events);
      this.#pump();
    }
  }

  /** @throws when Redis has not acknowledged all that it can take */
  async #deliver(events: UsageEvent[]): Promise<void> {
    const done = await this.#sender.send(events);
    this.#counts.sent += done.sent;
    this.#counts.bodiesOmitted += done.bodiesOmitted;
    this.#lost.drop(done.broken);
    await this.#lost.keep(done.tooLarge);
  }

  #waitsAgain(events: UsageEvent[] | undefined): boolean {
    if (events !== undefined && events.length > 0) this.#waiting.unshift(events);
    return events !== undefined;
  }

  async #toSpool(events: UsageEvent[]): Promise<void> {
    this.#spooling.add(events);
    try {
      await this.#spool.append(events);
      this.#counts.spooled += events.length;
      if (this.#state === 'up') this.#lookedForSpoolMs = 0; // Redis was back before this was on disk
      this.#spoolFails = false;
      this.#isDropping = false;
    } catch (cause) {
      if (this.#waitsAgain(this.#lost.remains(events))) return;
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
    if (this.#acceptance.isWell()) this.#spooledBefore = this.#counts.spooled;
    if (this.#state === 'up') this.#acceptance.batchRefused(text(cause));
    else this.#acceptance.writeRefused(text(cause));
    this.#state = 'away';
    void this.#sender.close();
    this.#pump();
  }

  /** All that was refused before has been taken, as far as it is on disk. */
  #isWell(): void {
    this.#comebacks = 0;
    this.#acceptance.batchTaken();
  }

  /** Runs for the producer's life: finds out when Redis takes writes (again), then replays what is on disk. */
  async #watchRedis(): Promise<void> {
    const startedMs = performance.now();
    while (!this.#stopProbing.signal.aborted) {
      const refusal = this.#options.refusal();
      if (refusal !== undefined && this.#state === 'up') this.#goAway(refusal);
      if (this.#state === 'up') await this.#replayNow();
      else await this.#lookAgain(refusal, performance.now() - startedMs);
      this.#waiting.push(...this.#parked.splice(0));
      this.#pump();
      await delay(this.#pauseMs(), undefined, { signal: this.#stopProbing.signal, ref: false }).catch(
        () => undefined,
      );
    }
  }

  async #lookAgain(refusal: string | undefined, triedMs: number): Promise<void> {
    const cause = refusal ?? (await this.#sender.refusesWrites());
    if (cause === undefined) this.#comeBack();
    else if (this.#state === 'away') this.#acceptance.writeRefused(cause);
    else if (triedMs > connectMs) this.#goAway(cause);
  }

  #pauseMs(): number {
    if (this.#state === 'connecting') return 20;
    return Math.min(probeMs * 2 ** Math.max(this.#comebacks - 1, 0), probeMsMax);
  }

  /** Whether the queue is well shows with the first batch that it takes. */
  #comeBack(): void {
    this.#sender.open();
    this.#acceptance.writeTaken();
    this.#comebacks += 1;
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
          await this.#deliver(events);
        },
        onUnreadable: (file) =>
          this.#options.log.error({ file }, 'a spooled line is unreadable; kept in unreadable.txt'),
        onUnread: (file, cause) =>
          this.#options.log.error(
            { file, cause: text(cause) },
            'a spool file cannot be read; tried again later',
          ),
      })
      .then(
        (batches) => {
          if (batches > 0) this.#options.log.info({ batches }, 'spooled usage events replayed');
          if (this.#state === 'up') this.#isWell();
        },
        (cause) => this.#closing || this.#goAway(cause),
      )
      .then(() => undefined);
    await this.#replaying;
  }
}

const text = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
