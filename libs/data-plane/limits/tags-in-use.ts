/** Tells the scheduler which scopes have leases or a quota, each at most once a minute. */
import type { Clock } from '@llmproxy/time';
import { inTurn } from '@llmproxy/turn';
import type { LimitServer } from './limit-server.ts';

const againMs = 60_000;
const toldMax = 10_000;

export class TagsInUse {
  readonly #server: LimitServer;
  readonly #clock: Clock;
  #told = new Set<string>();
  #toldSinceMs = 0;
  #new: string[] = [];

  constructor(server: LimitServer, clock: Clock) {
    this.#server = server;
    this.#clock = clock;
  }

  note(tag: string): void {
    if (this.#told.has(tag)) return;
    if (this.#told.size >= toldMax) this.#told.clear();
    this.#told.add(tag);
    if (this.#new.push(tag) === 1) inTurn('write', () => void this.#tell());
  }

  /** Forgets what was told more than a minute ago. */
  tick(): void {
    const nowMs = this.#clock.monotonic();
    if (nowMs - this.#toldSinceMs < againMs) return;
    this.#toldSinceMs = nowMs;
    this.#told = new Set();
  }

  async #tell(): Promise<void> {
    const tags = this.#new;
    this.#new = [];
    const nowMs = this.#clock.now();
    try {
      await this.#server.noteTags(tags, nowMs);
    } catch {
      // Redis is away: the next request of each tells again.
      for (const tag of tags) this.#told.delete(tag);
    }
  }
}
