/** Tells Redis every second that this worker is alive, and remembers how many are. */
import { atMost, withDeadline } from '@llmproxy/time';
import type { OnCall } from './batches.ts';
import type { LimitServer } from './limit-server.ts';

export interface WorkersOptions {
  readonly server: LimitServer;
  readonly worker: string;
  readonly onCall: OnCall;
}

const ttlMs = 15_000;

export class Workers {
  readonly #options: WorkersOptions;
  /** When Redis last answered. */
  alive = 0;

  constructor(options: WorkersOptions) {
    this.#options = options;
  }

  /** Rejects when Redis does not answer in time. */
  async sign(deadlineMs: number): Promise<void> {
    const { server, worker, onCall } = this.#options;
    const startMs = performance.now();
    const signed = server.sign(worker, ttlMs);
    let failure: string | undefined;
    try {
      this.alive = await withDeadline(signed, deadlineMs);
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
      signed.then(
        () => onCall.answeredLate(performance.now() - startMs),
        () => undefined,
      );
      throw error;
    } finally {
      onCall.ended({ failure, tookMs: performance.now() - startMs, ops: 0, isFirst: true });
    }
  }

  /** The others share the limits among themselves; should Redis not answer in time, they will in `ttlMs`. */
  async leave(deadlineMs: number): Promise<void> {
    const { server, worker } = this.#options;
    if (server.isReady()) await atMost(server.leave(worker), deadlineMs);
  }
}
