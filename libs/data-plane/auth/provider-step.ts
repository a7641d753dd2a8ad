/** One provider of the pipeline, made ready to be asked. */
import type { Clock } from '@llmproxy/time';
import { openCachedSource, type CacheOptions, type KeyFinder } from './cached-source.ts';
import { maskKey } from '@llmproxy/key-store';
import type { KnownKey } from './core/caller.ts';
import { keyTermsOf } from './core/key-terms.ts';
import {
  SourceFailure,
  unavailable,
  type AuthProblem,
  type AuthRequest,
  type Decide,
  type KeySource,
} from './key-source.ts';
import type { Keyring } from './keyring.ts';

interface AskedProvider {
  readonly name: string;
  readonly source: KeySource;
  readonly decide?: Decide | undefined;
  /** When the source cannot answer: refuse the request, or go on with the next provider. */
  readonly onError: 'deny' | 'skip';
  /** Longest wait for the source, in ms. */
  readonly timeoutMs: number;
  readonly cache: CacheOptions;
}

interface ListedProvider {
  readonly name: string;
  readonly source: Keyring;
  readonly decide?: Decide | undefined;
}

interface HookProvider {
  readonly name: string;
  readonly source: 'presented';
  readonly decide: Decide;
}

/** One provider: a source to be asked, keys in memory, or a hook alone, which judges every key that is presented. */
export type KeyProvider = AskedProvider | ListedProvider | HookProvider;

export interface ProviderStep {
  readonly name: string;
  readonly finder: KeyFinder;
  readonly decide: Decide | undefined;
  readonly onError: 'deny' | 'skip';
  /** The data of listed keys is held without the key, which hooks are promised. */
  readonly addsKey: boolean;
  close(): Promise<void>;
}

type OnProblem = (problem: AuthProblem) => void;

export interface Hearers {
  onProblem: OnProblem;
  onAnswer(provider: string): void;
}

export function stepFor(provider: KeyProvider, clock: Clock, hearers: Hearers): ProviderStep {
  if (provider.source === 'presented') return hookStep(provider as HookProvider);
  return 'keys' in provider.source
    ? listedStep(provider as ListedProvider, hearers.onProblem)
    : askedStep(provider as AskedProvider, clock, hearers);
}

function askedStep(provider: AskedProvider, clock: Clock, hearers: Hearers): ProviderStep {
  const { name, source, decide, onError, timeoutMs, cache } = provider;
  const finder = openCachedSource({ provider: name, source, timeoutMs, cache, clock, ...hearers });
  const close = () => source.close?.() ?? Promise.resolve();
  return { name, finder, decide, onError, addsKey: false, close };
}

function listedStep({ name, source: { keys }, decide }: ListedProvider, onProblem: OnProblem): ProviderStep {
  for (const { keyId, terms } of keys.values()) {
    if (terms.unreadable.length === 0) continue;
    onProblem({ kind: 'key_unreadable', provider: name, keyId, reason: terms.unreadable.join(', ') });
  }
  const peek = (keyId: string): KnownKey | null => keys.get(keyId) ?? null;
  const finder = { ...unforgettable, peek, find: ({ keyId }: AuthRequest) => Promise.resolve(peek(keyId)) };
  return { name, finder, decide, onError: 'deny', addsKey: true, close: () => Promise.resolve() };
}

function hookStep({ name, decide }: HookProvider): ProviderStep {
  const find = ({ keyId, secret }: AuthRequest) => Promise.resolve(presentedKey(keyId, secret));
  const finder = { ...unforgettable, peek: () => undefined, find };
  return { name, finder, decide, onError: 'deny', addsKey: false, close: () => Promise.resolve() };
}

function presentedKey(keyId: string, secret: string): KnownKey {
  const data = { api_key: secret };
  return { keyId, maskedKey: maskKey(secret), data, terms: keyTermsOf(data) };
}

const unforgettable = { forget: () => undefined, forgetAll: () => undefined };

/**
 * Looks a key up. A failure is a value where the next provider may answer instead.
 * @throws GatewayError `auth_unavailable` where it may not
 */
export async function findIn(
  step: ProviderStep,
  request: AuthRequest,
): Promise<KnownKey | null | SourceFailure> {
  const key = step.finder.peek(request.keyId);
  if (key !== undefined) return key;
  try {
    return await step.finder.find(request);
  } catch (error) {
    if (!(error instanceof SourceFailure)) throw error;
    if (step.onError === 'deny') throw unavailable(error);
    return error;
  }
}
