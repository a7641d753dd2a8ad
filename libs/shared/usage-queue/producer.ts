/** The gateway's end of the queue as its users know it. */
import type { QueueRedis } from './queue-connection.ts';
import type { QueueLog } from './queue-log.ts';
import type { UsageEvent } from './usage-event.ts';

export type UsageProducerOptions = QueueRedis & {
  /** Folder of the spool files, beside the gateway and on a disk that survives it; created when first needed. */
  spoolDir: string;
  log: QueueLog;
  /** Why nothing may be queued now although Redis takes it, for people; then events are spooled. Asked often. */
  refusal?: () => string | undefined;
  /** Events in one job, 1..1000. Default 100. */
  batchMax?: number;
  /** How long an event may wait for its batch to fill, in ms. Default 50. */
  batchMs?: number;
  /** Events held in memory; beyond, batches go to the spool. Default 10,000. */
  heldMax?: number;
  /** Redis must acknowledge a batch within this many ms, or it counts as away. Default 1,000. */
  sendMs?: number;
  /** How long `close` waits for acknowledgements before it spools the rest, in ms. Default 2,000. */
  closeMs?: number;
};

export interface UsageCounts {
  /** Events acknowledged by Redis, replayed ones included. */
  sent: number;
  /** Events written to the spool. */
  spooled: number;
  /**
   * Events given up because neither Redis nor the disk took them and ten times `heldMax` were waiting already, or because
   * they cannot be written as JSON.
   */
  dropped: number;
  /** Events whose request body was left out because Redis takes nothing of that size, or because it is no JSON. */
  bodiesOmitted: number;
  /** Events that Redis takes not even without their bodies; kept in `refused.ndjson` beside the spool files. */
  refused: number;
}

export interface UsageProducer {
  /** Takes one event: synchronous, an array push and one timer shared by the batch. */
  push(event: UsageEvent): void;
  /** Resolves when every event pushed so far is acknowledged by Redis or on disk. */
  flush(): Promise<void>;
  /** Events neither acknowledged nor on disk yet. */
  pending(): number;
  counts(): UsageCounts;
  /** Whether Redis takes the events, and how many were spooled since it does not, for `/readyz?verbose`. */
  found(): string;
  /** Flushes within `closeMs` and spools the rest. Push nothing afterwards. */
  close(): Promise<void>;
}
