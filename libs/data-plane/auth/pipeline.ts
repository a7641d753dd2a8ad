/** Asks the providers in their order whether a key is let in, and says who is calling then. */
import { pathOf, type Inbound } from '@llmproxy/exchange';
import { hashOfKey, keyIdOfHash } from '@llmproxy/key-store';
import type { Clock } from '@llmproxy/time';
import { bothTerms, callerOf, noMetadata } from './core/caller.ts';
import type { Caller, KnownKey } from './core/caller.ts';
import type { QuotaPeriodStart } from './core/evaluate-key.ts';
import type { KeyTerms } from './core/key-terms.ts';
import type { OutcomeOverrides } from './core/outcomes.ts';
import { createJudge, type Judge } from './judge.ts';
import { SourceFailure, unavailable, type AuthProblem, type AuthRequest } from './key-source.ts';
import { findIn, stepFor, type KeyProvider, type ProviderStep } from './provider-step.ts';

export interface KeyPipelineOptions {
  /** `first_match`: the first provider that knows a key decides. `all`: each that knows it must let it in. */
  readonly mode: 'first_match' | 'all';
  readonly providers: readonly KeyProvider[];
  readonly clock: Clock;
  /** What an operator wants to be answered instead of the default. */
  readonly overrides?: OutcomeOverrides;
  /** For quotas that a source counts itself. Default: what it says is used always counts. */
  readonly quotaPeriodStart?: QuotaPeriodStart;
  /** Hears of sources that fail, keys that cannot be read, and hooks that fail. */
  readonly onProblem?: (problem: AuthProblem) => void;
  /** Hears of each answer of a source that was asked. */
  readonly onAnswer?: (provider: string) => void;
}

type Head = Pick<Inbound, 'method' | 'target' | 'rawHeaders'>;

export interface KeyPipeline {
  /**
   * Who presents this key. No promise while nothing but memory has to be asked and no hook decides.
   * @throws GatewayError when the key is not let in, or `auth_unavailable` when that cannot be told
   */
  check(secret: string, ip: string, head: Head): Caller | Promise<Caller>;
  /** What becomes of a request without a key; `message` replaces the default. Throws like `check`. */
  unknown(ip: string, message?: string): Caller;
  /** Drops what is remembered of a key: it was changed. */
  forget(keyId: string): void;
  forgetAll(): void;
  close(): Promise<void>;
}

export function openPipeline(options: KeyPipelineOptions): KeyPipeline {
  const { mode, clock, onProblem = () => undefined, onAnswer = () => undefined } = options;
  const { overrides = {}, quotaPeriodStart = () => 0 } = options;
  const judge = createJudge({ clock, overrides, quotaPeriodStart, onProblem });
  const steps = options.providers.map((provider) => stepFor(provider, clock, { onProblem, onAnswer }));
  const first = mode === 'first_match';
  return {
    check(secret, ip, head) {
      const secretHash = hashOfKey(secret);
      const keyId = keyIdOfHash(secretHash);
      let at = 0;
      for (; first && at < steps.length; at++) {
        const step = steps[at] as ProviderStep;
        const key = step.finder.peek(keyId);
        if (key === null) continue;
        if (key === undefined || step.decide !== undefined) break;
        judge.byTerms(key, ip);
        return callerOf(key, key.terms, ip, noMetadata);
      }
      if (at === steps.length) return judge.unknown(ip);
      return walk(steps.slice(at), requestFrom(secret, secretHash, ip, head), judge, first);
    },
    unknown: (ip, message) => judge.unknown(ip, message),
    forget: (keyId) => steps.forEach(({ finder }) => finder.forget(keyId)),
    forgetAll: () => steps.forEach(({ finder }) => finder.forgetAll()),
    close: async () => void (await Promise.all(steps.map((step) => step.close()))),
  };
}

/** The whole way: sources are asked, hooks decide. `first` ends it with the first provider that knows the key. */
async function walk(
  steps: readonly ProviderStep[],
  request: AuthRequest,
  judge: Judge,
  first: boolean,
): Promise<Caller> {
  let known: { key: KnownKey; terms: KeyTerms } | undefined;
  let metadata = noMetadata;
  let failure: SourceFailure | undefined;
  for (const step of steps) {
    const key = await findIn(step, request);
    if (key instanceof SourceFailure) failure = key;
    if (key === null || key instanceof SourceFailure) continue;
    metadata = await judge.byProvider(step, key, request, metadata);
    known = known ? { key, terms: bothTerms(known.terms, key.terms) } : { key, terms: key.terms };
    if (first) break;
  }
  if (known) return callerOf(known.key, known.terms, request.ip, metadata);
  // Nobody who could be asked knows the key, but somebody could not be asked.
  if (failure) throw unavailable(failure);
  return judge.unknown(request.ip);
}

function requestFrom(
  secret: string,
  secretHash: string,
  ip: string,
  { method, target, rawHeaders }: Head,
): AuthRequest {
  return { secret, secretHash, keyId: keyIdOfHash(secretHash), ip, method, path: pathOf(target), rawHeaders };
}
