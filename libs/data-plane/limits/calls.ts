/** How the calls to Redis fare: what deadline follows from it, and what is told of it in the log and to operators. */
import { createCondition, type Condition } from '@llmproxy/telemetry';
import type { Clock } from '@llmproxy/time';
import { deadlineMs, longestDeadlineMs } from './core/deadline.ts';
import { RecentCalls } from './core/recent-calls.ts';

export interface CallsOptions {
  readonly clock: Clock;
  /** Lower bound of the deadline. */
  readonly leastMs: number;
  /** Told once when calls begin to fail, and once when none has for a while. */
  readonly onChange: (cause: string | undefined) => void;
}

/** A failure now and then, of so many calls, is nothing to tell anybody. */
const toldFrom = { failures: 3, share: 0.01 };
/** Without a failure for so long all is well again: a Redis that stutters is one outage, not one per stutter. */
const quietMs = 15_000;
const reckonedEveryMs = 100;
const causeCharsMax = 200;

export class Calls {
  readonly #options: CallsOptions;
  readonly #recent = new RecentCalls();
  readonly #condition: Condition;
  #deadlineMs: number;
  #reckonedMs = -Infinity;
  #failedMs = -Infinity;
  #cause = '';

  constructor(options: CallsOptions) {
    this.#options = options;
    this.#deadlineMs = options.leastMs;
    const { clock, onChange } = options;
    this.#condition = createCondition({ now: () => clock.now(), onChange });
  }

  get condition(): Pick<Condition, 'isWell' | 'found'> {
    return this.#condition;
  }

  /** Of the next call. */
  deadlineMs(): number {
    const nowMs = this.#options.clock.monotonic();
    if (nowMs - this.#reckonedMs >= reckonedEveryMs) {
      this.#reckonedMs = nowMs;
      this.#deadlineMs = deadlineMs(this.#recent.p99(nowMs), this.#options.leastMs);
    }
    return this.#deadlineMs;
  }

  /** For a call that nobody waits for. */
  get longestMs(): number {
    return longestDeadlineMs(this.#options.leastMs);
  }

  answered(tookMs: number): void {
    const nowMs = this.#options.clock.monotonic();
    this.#recent.ended(true, nowMs);
    this.#recent.answered(tookMs, nowMs);
    if (nowMs - this.#failedMs >= quietMs) this.#condition.ok();
  }

  /** Of a call that has failed before: how long it would have had to be waited for. */
  answeredLate(tookMs: number): void {
    this.#recent.answered(tookMs, this.#options.clock.monotonic());
  }

  /** @param cause what Redis or the connection said; holds no secret */
  failed(cause: string): void {
    const nowMs = this.#options.clock.monotonic();
    this.#recent.ended(false, nowMs);
    this.#failedMs = nowMs;
    this.#cause = cause;
    const { calls, failures } = this.#recent.counts(nowMs);
    const isMuch = failures >= toldFrom.failures && failures >= calls * toldFrom.share;
    if (isMuch || !this.#condition.isWell()) this.#condition.failed(told(calls, failures, cause));
  }

  /** Redis is not asked any more for now. */
  gaveUp(): void {
    if (!this.#condition.isWell()) return;
    const { calls, failures } = this.#recent.counts(this.#options.clock.monotonic());
    this.#condition.failed(told(calls, failures, this.#cause));
  }
}

function told(calls: number, failures: number, cause: string): string {
  const word = cause.replace(/\s+/g, ' ').slice(0, causeCharsMax);
  return `${failures} of ${calls} calls to Redis in the last minute failed, the last one: ${word}`;
}
