import { createHash } from 'node:crypto';
import type { UsageEvent } from './usage-event.ts';

/**
 * Name of a batch, the same whenever and by whomever it is sent: a batch sent again after an unclear failure is
 * recognised by it. 128 bits in hex.
 */
export function batchId(events: readonly UsageEvent[]): string {
  const hash = createHash('sha256');
  for (const event of events) hash.update(event.event_id).update('\n');
  return hash.digest('hex').slice(0, 32);
}

/** Cuts `events` into batches of at most `batchMax`. */
export function inBatches<T>(events: readonly T[], batchMax: number): T[][] {
  const batches: T[][] = [];
  for (let start = 0; start < events.length; start += batchMax)
    batches.push(events.slice(start, start + batchMax));
  return batches;
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
