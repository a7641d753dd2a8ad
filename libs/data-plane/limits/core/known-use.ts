/** What Redis said last to be used of a scope, as of now. */
import type { ScopeUse } from '@llmproxy/limit-state';

export interface KnownUse extends ScopeUse {
  /** Of the quota period that `quota` belongs to, ms since 1970. */
  readonly periodStartMs: number | undefined;
  /** When Redis said it; monotonic. */
  readonly atMs: number;
}

const minuteMs = 60_000;
/** After this long nothing that was said of a minute holds any more. */
export const knownForMs = 2 * minuteMs;

/**
 * What may still count of `used` of a minute: nobody said when it was used, so all of it for a minute, and then evenly
 * less. Rounded up.
 */
export function stillUsed(used: number | undefined, ageMs: number): number {
  const share = Math.min(1, Math.max(0, (knownForMs - ageMs) / minuteMs));
  return Math.ceil((used ?? 0) * share);
}
