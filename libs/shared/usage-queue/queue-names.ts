/** Every name and bound the two ends of the queue must agree on. */

/** Batches of finished requests, on their way from the gateways to the worker. */
export const usageQueueName = 'usage';

/** The delivery queue of one reporter. BullMQ forbids ':' in names, so anything unusual is percent-encoded. */
export function deliveryQueueName(reporter: string): string {
  return `usage-${encodeURIComponent(reporter)}`;
}

/** JSON of the events of one batch; a larger event travels by itself. */
export const batchBytesMax = 4 * 1_024 * 1_024;

/** BullMQ's event stream is nobody's input here; this is how many entries of it are kept. */
export const streamEntriesMax = 1_000;

/** A batch sent twice within this time is queued once: a key of ~150 bytes per batch remembers it. */
export const batchRememberedMs = 60 * 60 * 1_000;

/** A batch that cannot be read stays in the failed set for someone to look at, within these bounds. */
export const failedBatches = { age: 14 * 24 * 60 * 60, count: 1_000 } as const;
