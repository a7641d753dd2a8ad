import { bullPrefix, connectionProblem, type RedisClient } from '@llmproxy/redis';
import { createCondition } from '@llmproxy/telemetry';
import type { QueueLog } from './queue-log.ts';
import { withDeadline } from '@llmproxy/time';

/**
 * Whether Redis takes usage events: one log line when it does no more and one when it does again. A Redis that takes
 * small writes may still refuse batches, for the rights of its user or for the size: then only a batch that it takes is
 * proof that all is well again.
 */
export interface Acceptance {
  /** As has been all that was refused before. */
  batchTaken(): void;
  batchRefused(cause: string): void;
  writeTaken(): void;
  writeRefused(cause: string): void;
  isWell(): boolean;
  /** In the words of a `Condition`. */
  found(): string;
}

export function watchAcceptance(log: QueueLog): Acceptance {
  let needsProof = false;
  const condition = createCondition({
    onChange: (cause) =>
      cause === undefined
        ? log.info({}, 'Redis takes usage events again; replaying the spool')
        : log.warn({ cause }, 'Redis does not take usage events; spooling them'),
  });
  return {
    batchTaken() {
      needsProof = false;
      condition.ok();
    },
    batchRefused(cause) {
      needsProof = true;
      condition.failed(cause);
    },
    writeTaken() {
      if (!needsProof) condition.ok();
    },
    writeRefused: (cause) => condition.failed(cause),
    isWell: () => condition.isWell(),
    found: () => condition.found(),
  };
}

/** A small write, because a full or read-only Redis still answers PING. Rejects when it is not taken within `ms`. */
export async function tryWrite(client: RedisClient, ms: number): Promise<void> {
  if (client.status !== 'ready') throw new Error(connectionProblem(client) ?? 'no connection to Redis');
  await withDeadline(client.set(`${bullPrefix}:probe`, '1', 'PX', 10_000), ms);
}
