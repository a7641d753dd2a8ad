/**
 * Answers of a source, kept for a moment. Guarantees: one question at a time per key; an answer that was on its way
 * when the key was forgotten is not kept; unknown keys never push out known ones; no secret is a cache key.
 */
import { maskKey, UnreadableKey } from '@llmproxy/key-store';
import type { Clock } from '@llmproxy/time';
import type { KnownKey } from './core/caller.ts';
import { keyTermsOf } from './core/key-terms.ts';
import { RecentlyUsed } from './core/recently-used.ts';
import { SourceFailure, type AuthProblem, type AuthRequest, type KeySource } from './key-source.ts';

/** Where one provider's keys are found. */
export interface KeyFinder {
  /** The key, null when it is known to be unknown, undefined when only `find` can tell. */
  peek(keyId: string): KnownKey | null | undefined;
  /** Asks the source. Rejects with a SourceFailure when it cannot answer. */
  find(request: AuthRequest): Promise<KnownKey | null>;
  forget(keyId: string): void;
  forgetAll(): void;
}

export interface CacheOptions {
  /** How long a key that was found is kept, in ms; 0: not at all. */
  readonly ttlMs: number;
  /** The same for a key that was not. */
  readonly negativeTtlMs: number;
  /** Most keys that are kept, known and unknown ones counted apart. */
  readonly entriesMax: number;
}

export interface CachedSourceOptions {
  readonly provider: string;
  readonly source: KeySource;
  /** Longest wait for an answer, in ms. */
  readonly timeoutMs: number;
  readonly cache: CacheOptions;
  readonly clock: Clock;
  onProblem(problem: AuthProblem): void;
  /** The source answered, whether it knew the key or not. */
  onAnswer(provider: string): void;
}

interface Kept {
  readonly known: KnownKey | null;
  readonly untilMs: number;
}

export function openCachedSource(options: CachedSourceOptions): KeyFinder {
  const { clock, cache } = options;
  const found = new RecentlyUsed<Kept>(cache.entriesMax);
  const notFound = new RecentlyUsed<Kept>(cache.entriesMax);
  const underway = new Map<string, Promise<KnownKey | null>>();

  let forgotten = 0;

  const keep = (keyId: string, known: KnownKey | null): void => {
    const ttlMs = known === null ? cache.negativeTtlMs : cache.ttlMs;
    if (ttlMs <= 0) return;
    (known === null ? found : notFound).delete(keyId);
    (known === null ? notFound : found).set(keyId, { known, untilMs: clock.monotonic() + ttlMs });
  };
  const askAndKeep = async (request: AuthRequest): Promise<KnownKey | null> => {
    const forgottenBefore = forgotten;
    const known = await ask(options, request);
    // The answer may be older than what a key was forgotten for meanwhile.
    if (forgotten === forgottenBefore) keep(request.keyId, known);
    return known;
  };
  const start = (request: AuthRequest): Promise<KnownKey | null> => {
    const asking = askAndKeep(request);
    underway.set(request.keyId, asking);
    const done = (): void => {
      if (underway.get(request.keyId) === asking) underway.delete(request.keyId);
    };
    asking.then(done, done);
    return asking;
  };
  return {
    peek(keyId) {
      const kept = found.get(keyId) ?? notFound.get(keyId);
      return kept !== undefined && clock.monotonic() < kept.untilMs ? kept.known : undefined;
    },
    find: (request) => {
      // Uncached, each request is asked for on its own: the source may look at more than the key.
      if (cache.ttlMs <= 0) return askAndKeep(request);
      return underway.get(request.keyId) ?? start(request);
    },
    forget(keyId) {
      forgotten++;
      found.delete(keyId);
      notFound.delete(keyId);
      underway.delete(keyId);
    },
    forgetAll() {
      forgotten++;
      found.clear();
      notFound.clear();
      underway.clear();
    },
  };
}

async function ask(options: CachedSourceOptions, request: AuthRequest): Promise<KnownKey | null> {
  const { provider, onProblem, onAnswer } = options;
  const { keyId, secret } = request;
  try {
    const data = await inTime(options, request);
    onAnswer(provider);
    if (data === undefined) return null;
    const terms = keyTermsOf(data);
    if (terms.unreadable.length > 0) {
      onProblem({ kind: 'key_unreadable', provider, keyId, reason: terms.unreadable.join(', ') });
    }
    return { keyId, maskedKey: maskKey(secret), data, terms };
  } catch (thrown) {
    const failure = new SourceFailure(provider, thrown, secret);
    // What is damaged is one key: the source did answer.
    const isDamaged = thrown instanceof UnreadableKey;
    if (isDamaged) onAnswer(provider);
    onProblem({
      kind: isDamaged ? 'key_unreadable' : 'source_failed',
      provider,
      keyId,
      reason: failure.message,
    });
    throw failure;
  }
}

async function inTime({ source, timeoutMs }: CachedSourceOptions, request: AuthRequest) {
  const controller = new AbortController();
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const error = new Error(`no answer within ${timeoutMs} ms`);
    late.reject(error);
    controller.abort(error);
  }, timeoutMs);
  try {
    return await Promise.race([source.lookup(request, controller.signal), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
