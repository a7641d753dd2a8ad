/** What Redis said last of each scope; forgotten when it means nothing any more, or of the longest unheard when there are many. */
import type { LimitScope, Transacted } from '@llmproxy/limit-state';
import type { Clock } from '@llmproxy/time';
import { knownForMs, type KnownUse } from './core/known-use.ts';

/** Of the younger ones; some 200 bytes each. */
const scopesMax = 100_000;

export class Known {
  readonly #clock: Clock;
  /** Heard of lately; the ones before. Turned over when the younger is as old as anything is known, or full. */
  #young = new Map<string, KnownUse>();
  #old = new Map<string, KnownUse>();
  #turnedMs = 0;
  /** The clock of Redis when it was heard last, and the monotonic one then. */
  #redisMs: number | undefined;
  #heardMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(scopes: readonly LimitScope[], { nowMs, used }: Transacted): void {
    const atMs = this.#clock.monotonic();
    this.#redisMs = nowMs;
    this.#heardMs = atMs;
    for (const [at, { tag, quota }] of scopes.entries()) {
      const use = used[at];
      if (use !== undefined) this.#young.set(tag, { ...use, periodStartMs: quota?.periodStartMs, atMs });
    }
    if (this.#young.size > scopesMax || atMs - this.#turnedMs > knownForMs) this.#turn(atMs);
  }

  of(tag: string): KnownUse | undefined {
    return this.#young.get(tag) ?? this.#old.get(tag);
  }

  /** What the clock of Redis says now, ms since 1970; while it was never heard, that of this machine. */
  redisNow(): number {
    if (this.#redisMs === undefined) return this.#clock.now();
    return Math.round(this.#redisMs + this.#clock.monotonic() - this.#heardMs);
  }

  /** Of a quota it means something for as long as its period. */
  #turn(nowMs: number): void {
    for (const [tag, use] of this.#old) {
      if (this.#young.size >= scopesMax) break;
      if (use.quota !== undefined && !this.#young.has(tag)) this.#young.set(tag, use);
    }
    this.#old = this.#young;
    this.#young = new Map();
    this.#turnedMs = nowMs;
  }
}
