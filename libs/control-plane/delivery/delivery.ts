/** Every batch to every reporter, each at its own pace. */
import { closeRedis, connectForQueues, type RedisClient, type RedisTarget } from '@llmproxy/redis';
import { SizeLimits, untilGone, type QueueLog, type UsageEvent } from '@llmproxy/usage-queue';
import { setTimeout as delay } from 'node:timers/promises';
import { DeliveryQueue, type DeliveryOutcome } from './delivery-queue.ts';
import type { Reporter } from './reporter.ts';

export interface DeliveryOptions {
  redis: RedisTarget;
  reporters: readonly Reporter[];
  log: QueueLog;
  /** Hears of every attempt that ended. */
  onOutcome?(reporter: string, outcome: DeliveryOutcome, events: number): void;
  /** Hears of every job that has lost its data in Redis. */
  onJobWithoutData?(queue: string): void;
}

export interface ReporterState {
  name: string;
  /** `ok`, why its queue is not worked on, or what its last attempt failed with. */
  health: string;
  /** Deliveries waiting or under way. */
  depth: number;
  deadLetters: number;
}

export interface Delivery {
  /** Resolves when every reporter's queue is being worked on. */
  ready(): Promise<void>;
  /** Queues the batch for every reporter. Safe to repeat: what is queued already is not queued twice. */
  fanOut(events: readonly UsageEvent[], batchId: string): Promise<void>;
  /** Whether each reporter's queue is being worked on. */
  isWell(): boolean;
  /** By reporter: `ok`, why its queue is not worked on, or what its last attempt failed with. */
  health(): Record<string, string>;
  states(): Promise<ReporterState[]>;
  /** Finishes the deliveries under way, at most `deadlineMs`; the rest stays queued. */
  close(deadlineMs: number): Promise<void>;
}

/** Starts delivering; returns at once, whether Redis and the reporters are there or not. */
export function openDelivery(options: DeliveryOptions): Delivery {
  const { redis, reporters, log, onOutcome = () => undefined, onJobWithoutData } = options;
  const connection = connectForQueues({ ...redis, connectionName: 'llmproxy delivery' });
  connection.setMaxListeners(Infinity); // every queue listens; to 0, for no bound either, BullMQ would add 3
  const { limits, asked } = askLimits(connection);
  const queues = reporters.map((reporter) => {
    const queue = new DeliveryQueue({ connection, limits, reporter, log, onOutcome, onJobWithoutData });
    return { name: reporter.name, queue };
  });
  return {
    ready: async () => void (await Promise.all(queues.map(({ queue }) => queue.ready()))),
    fanOut: async (events, batchId) => {
      await asked;
      await Promise.all(queues.map(({ queue }) => queue.add(events, batchId)));
    },
    isWell: () => queues.every(({ queue }) => queue.isWell()),
    health: () => Object.fromEntries(queues.map(({ name, queue }) => [name, queue.health()])),
    states: () =>
      Promise.all(
        queues.map(async ({ name, queue }) => {
          const [depth, deadLetters] = await Promise.all([queue.depth(), queue.deadLetters()]);
          return { name, health: queue.health(), depth, deadLetters };
        }),
      ),
    close: async (deadlineMs) => {
      const finished = new AbortController();
      // Without Redis no delivery can be acknowledged any more: it will be made again, so nothing is worth waiting for.
      const closed = Promise.allSettled(queues.map(({ queue }) => queue.close()));
      void Promise.race([closed, untilGone(connection)]).then(() => finished.abort());
      await delay(deadlineMs, undefined, { signal: finished.signal }).catch(() => undefined);
      await closeRedis(connection);
    },
  };
}

/** Asks Redis what it takes at once, whenever there is a connection; `asked` resolves after the first time. */
function askLimits(connection: RedisClient): { limits: SizeLimits; asked: Promise<void> } {
  const limits = new SizeLimits();
  const asked = new Promise<void>((resolve) => {
    connection.on('ready', () => void limits.ask(connection).then(resolve));
  });
  return { limits, asked };
}
