/** What a request is told about its limits. */
import type { Figure, LimitName } from '@llmproxy/limit-state';

export type ScopeKind = 'global' | 'key' | 'ip' | 'backend';

export interface RefusedBy {
  readonly kind: ScopeKind;
  readonly limit: LimitName;
}

interface Told {
  /** The tightest enforced limit on requests, this request counted if it was granted; null: there is none. */
  readonly requests: Figure | null;
  readonly tokens: Figure | null;
  /** Limits in shadow mode that would have refused. */
  readonly shadowRefusals: readonly RefusedBy[];
}

export interface Granted<Handle> extends Told {
  readonly outcome: 'granted';
  /** Index into the request's alternatives; -1: it had none. */
  readonly alternative: number;
  /** To be settled exactly once. */
  readonly handle: Handle;
  /** `local` and `none`: Redis did not answer, and limits were shared out among workers, or not asked. */
  readonly by: 'redis' | 'local' | 'none';
}

export interface Refused extends Told, RefusedBy {
  readonly outcome: 'refused';
  /** Until the same request would fit, if nothing else comes; -1: never, or not in this quota period. */
  readonly retryAfterMs: number;
}

/** Redis did not answer, and then nothing passes. */
export interface Unavailable {
  readonly outcome: 'unavailable';
}

export function kindOf(tag: string): ScopeKind {
  if (tag.startsWith('k:')) return 'key';
  if (tag.startsWith('ip:')) return 'ip';
  return tag.startsWith('b:') ? 'backend' : 'global';
}
