import { createHash } from 'node:crypto';
import { eventBytes } from './event-size.ts';
import type { UsageEvent } from './usage-event.ts';

/**
 * Name of a batch, the same whenever and by whomever it is sent: a batch sent again after an unclear failure is
 * recognised by it. 128 bits in hex.
 */
export function batchId(events: readonly UsageEvent[]): string {
  const ids = events.map((event) => `${event.event_id}\n`).join('');
  return createHash('sha256').update(ids).digest('hex').slice(0, 32);
}

export interface BatchBounds {
  /** Events, at least 1. */
  count: number;
  /** Of the JSON of the batch. */
  bytes: number;
}

/** Cuts `events`, in their order, into batches within the bounds. One that is larger than them is a batch by itself. */
export function inBatches(
  events: readonly UsageEvent[],
  bounds: BatchBounds,
  bytesOf: (event: UsageEvent) => number = eventBytes,
): UsageEvent[][] {
  const batches: UsageEvent[][] = [];
  let batch: UsageEvent[] = [];
  let bytes = 1; // the brackets are one more than the commas
  for (const event of events) {
    const more = bytesOf(event) + 1;
    if (batch.length === bounds.count || (batch.length > 0 && bytes + more > bounds.bytes)) {
      batches.push(batch);
      batch = [];
      bytes = 1;
    }
    batch.push(event);
    bytes += more;
  }
  return batch.length === 0 ? batches : [...batches, batch];
}

export function countEvents(batches: readonly UsageEvent[][]): number {
  return batches.reduce((sum, batch) => sum + batch.length, 0);
}

/** Reads a batch back. @throws Error when it is none: not an array of objects that have an `event_id` */
export function asBatch(data: unknown): UsageEvent[] {
  const isEvent = (item: unknown) =>
    typeof item === 'object' && item !== null && 'event_id' in item && typeof item.event_id === 'string';
  if (!Array.isArray(data) || !data.every(isEvent)) throw new Error('not a batch of usage events');
  // Only the identity is checked: an event of a newer gateway may have fields this version does not know, and they
  // must reach the reporters.
  return data as UsageEvent[];
}
