import type { UsageEvent } from '@llmproxy/usage-queue';
import type { RetrySchedule } from './core/retry-schedule.ts';

/** Where usage events go. Each reporter has a queue, a retry schedule and dead letters of its own. */
export interface Reporter {
  /** From the config; names the queue and labels the metrics. */
  readonly name: string;
  /** What one delivery carries: a single event or a whole batch. */
  readonly unit: 'event' | 'batch';
  /** After this many failed attempts a delivery becomes a dead letter. At least 1. */
  readonly attemptsMax: number;
  /** Deliveries under way at once. */
  readonly concurrency: number;
  readonly schedule: RetrySchedule;
  /** Delivers; may be called again for the same events, so the receiving end must know them by `event_id`. */
  deliver(events: readonly UsageEvent[]): Promise<void>;
  /**
   * True when the failure is the destination's and not this delivery's: then the delivery is held and tried again
   * until the destination is back, which costs it no attempt, and the others behind it wait untouched.
   */
  isAway(cause: unknown): boolean;
  close(): Promise<void>;
}

/** A receiver that answered, but not with a success. */
export class DeliveryRefused extends Error {
  /** What it asked for in `Retry-After`, in ms. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, retryAfterMs?: number) {
    super(message);
    this.name = 'DeliveryRefused';
    this.retryAfterMs = retryAfterMs;
  }
}
