/** Whether a key that was found is let in: by its terms, or by the provider's hook. */
import { GatewayError, type Subject } from '@llmproxy/errors';
import type { Clock } from '@llmproxy/time';
import { anonymous, type Caller, type KnownKey, type Metadata } from './core/caller.ts';
import { evaluateKey, type QuotaPeriodStart } from './core/evaluate-key.ts';
import { isAllowed, messageFor, refusalOf, type OutcomeOverrides } from './core/outcomes.ts';
import { reasonOf, type AuthProblem, type AuthRequest, type Decide, type Decision } from './key-source.ts';
import type { KeyData } from './core/key-fields.ts';
import type { ProviderStep } from './provider-step.ts';

export interface JudgeOptions {
  readonly clock: Clock;
  readonly overrides: OutcomeOverrides;
  readonly quotaPeriodStart: QuotaPeriodStart;
  onProblem(problem: AuthProblem): void;
}

/** Each throws the GatewayError of a refusal. What a source itself refuses no hook can let in. */
export interface Judge {
  byTerms(key: KnownKey, ip: string): void;
  /** By the hook where the provider has one. Returns the metadata with the hook's. */
  byProvider(step: ProviderStep, key: KnownKey, request: AuthRequest, metadata: Metadata): Promise<Metadata>;
  /** A key that nobody knows, or none at all; `message` replaces the default. */
  unknown(ip: string, message?: string): Caller;
}

export function createJudge({ clock, overrides, quotaPeriodStart, onProblem }: JudgeOptions): Judge {
  const byTerms = (key: KnownKey, ip: string): void => {
    const { terms } = key;
    if (terms.denial !== null) throw denied(subjectOf(key, ip), terms.denial);
    const outcome = evaluateKey(terms, clock.now(), ip, quotaPeriodStart);
    if (isAllowed(outcome, overrides)) return;
    throw refusalOf(outcome, overrides, { message: messageFor(outcome, terms), about: subjectOf(key, ip) });
  };
  return {
    byTerms,
    async byProvider(step, key, request, metadata) {
      if (step.decide !== undefined) {
        if (key.terms.denial !== null) throw denied(subjectOf(key, request.ip), key.terms.denial);
        return byHook(step, step.decide, key, { request, metadata, onProblem });
      }
      byTerms(key, request.ip);
      return metadata;
    },
    unknown(ip, message) {
      if (isAllowed('not_found', overrides)) return { ...anonymous, ip };
      throw refusalOf('not_found', overrides, { message });
    },
  };
}

interface HookContext {
  readonly request: AuthRequest;
  readonly metadata: Metadata;
  onProblem(problem: AuthProblem): void;
}

async function byHook(
  { name, addsKey }: ProviderStep,
  decide: Decide,
  key: KnownKey,
  { request, metadata, onProblem }: HookContext,
): Promise<Metadata> {
  const { keyId } = key;
  const data = addsKey ? { ...key.data, key: request.secret } : key.data;
  const decision = await decisionOf(decide, data, request, metadata);
  if (decision.allow === true) return { ...metadata, ...decision.metadata };
  const reason = decision.reasonForLog;
  if (reason !== undefined) onProblem({ kind: 'hook_failed', provider: name, keyId, reason });
  throw denied(subjectOf(key, request.ip), decision.message);
}

/** A hook that fails has not said yes. Why it failed is for the log alone. */
async function decisionOf(
  decide: Decide,
  data: KeyData,
  request: AuthRequest,
  metadata: Metadata,
): Promise<Decision> {
  try {
    return await decide(data, request, metadata);
  } catch (thrown) {
    return { allow: false, reasonForLog: reasonOf(thrown, request.secret) };
  }
}

const denied = (about: Subject, message?: string): GatewayError =>
  new GatewayError('access_denied', message || 'Access is denied for this API key.', { about });

const subjectOf = ({ keyId, maskedKey, terms }: KnownKey, ip: string): Subject => ({
  keyId,
  maskedKey,
  userId: terms.userId,
  ip,
});
