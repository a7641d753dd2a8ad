/** Puts batches of usage events into the queue, in pieces that Redis takes. */
import { bullPrefix, type RedisClient } from '@llmproxy/redis';
import { Queue } from 'bullmq';
import { tryWrite } from './acceptance.ts';
import { addWhole } from './add-whole.ts';
import { batchId, countEvents } from './batch.ts';
import { fit, type Fit } from './fit.ts';
import type { QueueLog } from './queue-log.ts';
import { batchRememberedMs, failedBatches, streamEntriesMax, usageQueueName } from './queue-names.ts';
import { SizeLimits } from './size-limits.ts';
import type { UsageEvent } from './usage-event.ts';
import { withDeadline } from '@llmproxy/time';

export interface BatchSenderOptions {
  client: RedisClient;
  log: QueueLog;
  batchMax: number;
  sendMs: number;
}

/** What became of the events of one call. */
export type Sent = Omit<Fit, 'batches'> & { sent: number };

export class BatchSender {
  readonly #options: BatchSenderOptions;
  readonly #limits = new SizeLimits();
  #queue: Queue<UsageEvent[]> | undefined;

  constructor(options: BatchSenderOptions) {
    this.#options = options;
  }

  /**
   * Tries a small write, and learns on the way what Redis takes at once.
   * @returns why not, when it is not taken
   */
  async refusesWrites(): Promise<string | undefined> {
    const { client, sendMs } = this.#options;
    try {
      await tryWrite(client, sendMs);
    } catch (cause) {
      return cause instanceof Error ? cause.message : String(cause);
    }
    await this.#limits.ask(client);
    return undefined;
  }

  open(): void {
    const streams = { events: { maxLen: streamEntriesMax } };
    this.#queue = new Queue<UsageEvent[]>(usageQueueName, {
      connection: this.#options.client,
      prefix: bullPrefix,
      streams,
    });
    this.#queue.on('error', () => undefined); // a failed send is what counts, and it is reported
  }

  async close(): Promise<void> {
    const queue = this.#queue;
    this.#queue = undefined;
    await queue?.close().catch(() => undefined);
  }

  /** One batch, one job, or several where Redis takes no job of that size. @throws when one is not acknowledged in `sendMs` */
  async send(events: readonly UsageEvent[]): Promise<Sent> {
    const { batches, ...rest } = fit(events, this.#limits.bounds(this.#options.batchMax));
    // All at once, so that they stay in order among the batches of other calls.
    const added = await Promise.allSettled(batches.map((batch) => this.#add(batch)));
    for (const result of added) if (result.status === 'rejected') throw result.reason;
    return { ...rest, sent: countEvents(batches) };
  }

  async #add(events: UsageEvent[]): Promise<void> {
    const queue = this.#queue;
    if (!queue) throw new Error('not connected');
    const id = batchId(events);
    const opts = {
      jobId: id,
      deduplication: { id, ttl: batchRememberedMs },
      removeOnComplete: true,
      removeOnFail: failedBatches,
      attempts: 1_000,
      backoff: { type: 'custom' },
      stackTraceLimit: 1,
    };
    const added = addWhole(this.#options.client, queue, { name: 'batch', data: events, opts });
    try {
      await withDeadline(added, this.#options.sendMs);
      this.#limits.took(id);
    } catch (cause) {
      this.#learn(id, events, cause);
      throw cause;
    }
  }

  #learn(id: string, events: readonly UsageEvent[], cause: unknown): void {
    const bytes = Buffer.byteLength(JSON.stringify(events));
    if (!this.#limits.failed(id, bytes, cause)) return;
    this.#options.log.warn(
      { bytes, events: events.length },
      'Redis refuses usage events for their size; sending less at once',
    );
  }
}
