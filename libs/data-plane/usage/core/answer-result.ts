import type { TokenUsage } from '@llmproxy/usage-queue';

/** What an answer told of itself so far. */
export interface AnswerResult {
  /** Null when the backend reported none, or not enough of it. */
  readonly usage: TokenUsage | null;
  /**
   * Whether the answer said that it is complete: `[DONE]`, `message_stop`, `response.completed|incomplete|failed`,
   * or the last bracket of a JSON document. Null when answers of this kind cannot tell.
   */
  readonly ended: boolean | null;
  /** Whether the answer carries an error of the backend in its body. */
  readonly failed: boolean;
}
