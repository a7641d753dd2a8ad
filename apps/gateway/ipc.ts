/** Messages between the primary and its workers. */
import type { MetricsSnapshot } from '@llmproxy/telemetry';
import type { Checks } from './core/merge-checks.ts';

export type ToWorker =
  | { kind: 'snapshot'; id: number }
  | { kind: 'metrics-text'; id: number; text: string }
  /** How do your users of Redis fare? */
  | { kind: 'checks'; id: number }
  /** How those of all workers fare. */
  | { kind: 'all-checks'; id: number; checks: Checks };

export type ToPrimary =
  | { kind: 'listening'; address: string }
  | { kind: 'snapshot'; id: number; snapshot: MetricsSnapshot }
  | { kind: 'metrics-wanted'; id: number }
  | { kind: 'checks'; id: number; checks: Checks }
  | { kind: 'all-checks-wanted'; id: number }
  | { kind: 'failed-to-start'; message: string };

/** Numbers requests and hands each its answer; one that is not answered in time resolves with undefined. */
export class PendingAnswers<T> {
  #next = 0;
  readonly #waiting = new Map<number, (answer: T | undefined) => void>();

  ask(send: (id: number) => void, timeoutMs: number): Promise<T | undefined> {
    const id = this.#next++;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.answer(id, undefined), timeoutMs);
      this.#waiting.set(id, (answer) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(answer);
      });
      send(id);
    });
  }

  answer(id: number, answer: T | undefined): void {
    this.#waiting.get(id)?.(answer);
  }
}
