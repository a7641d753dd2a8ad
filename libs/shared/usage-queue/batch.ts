import { createHash } from 'node:crypto';
import type { UsageEvent } from './usage-event.ts';

/**
 * Name of a batch, the same whenever and by whomever it is sent: a batch sent again after an unclear failure is
 * recognised by it. 128 bits in hex.
 */
export function batchId(events: readonly UsageEvent[]): string {
  const ids = events.map((event) => `${event.event_id}\n`).join('');
  return createHash('sha256').update(ids).digest('hex').slice(0, 32);
}

/** Cuts `events` into batches of at most `batchMax`. */
export function inBatches<T>(events: readonly T[], batchMax: number): T[][] {
  const batches: T[][] = [];
  for (let start = 0; start < events.length; start += batchMax)
    batches.push(events.slice(start, start + batchMax));
  return batches;
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
