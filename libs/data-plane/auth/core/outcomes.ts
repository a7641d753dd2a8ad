/** What an authentication can come to, and what the client is told then. */
import { GatewayError, type ErrorCode, type Subject } from '@llmproxy/errors';
import type { KeyTerms } from './key-terms.ts';

export type Outcome =
  | 'active'
  | 'disabled'
  | 'expired'
  | 'not_started'
  | 'ip_denied'
  | 'quota_exceeded'
  | 'not_found'
  | 'model_denied';

/** What an operator wants instead. What is left out stays as it is by default. */
export interface OutcomeOverride {
  /** True turns the outcome into success; false makes a refusal even of `active`. */
  readonly allow?: boolean | undefined;
  /** 400 to 599. */
  readonly httpCode?: number | undefined;
  readonly message?: string | undefined;
}

export type OutcomeOverrides = Readonly<Partial<Record<Outcome, OutcomeOverride>>>;

interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
}

const refusals: Readonly<Record<Outcome, Refusal>> = {
  active: { code: 'access_denied', message: 'Access is denied.' },
  disabled: { code: 'key_not_active', message: 'This API key is disabled.' },
  expired: { code: 'key_not_active', message: 'This API key has expired.' },
  not_started: { code: 'key_not_active', message: 'This API key is not valid yet.' },
  ip_denied: { code: 'ip_not_allowed', message: 'This API key may not be used from your address.' },
  quota_exceeded: { code: 'insufficient_quota', message: 'The quota of this API key is used up.' },
  not_found: { code: 'invalid_api_key', message: 'The API key is unknown. Check the key you configured.' },
  model_denied: { code: 'model_not_allowed', message: 'This API key may not use this model.' },
};

/** Whether the request goes on: with an active key, or where the operator said so. */
export function isAllowed(outcome: Outcome, overrides: OutcomeOverrides): boolean {
  return overrides[outcome]?.allow ?? outcome === 'active';
}

export interface RefusalDetails {
  /** Replaces the default, and is replaced by the operator's. */
  readonly message?: string | undefined;
  /** Whose key it is, for the access log. */
  readonly about?: Subject | undefined;
}

/** The error of an outcome that is no success. */
export function refusalOf(
  outcome: Outcome,
  overrides: OutcomeOverrides,
  { message, about }: RefusalDetails = {},
): GatewayError {
  const { code, message: byDefault } = refusals[outcome];
  const { httpCode, message: wanted } = overrides[outcome] ?? {};
  return new GatewayError(code, wanted ?? message ?? byDefault, {
    ...(about && { about }),
    ...(httpCode === undefined ? {} : { status: httpCode }),
    ...(outcome === 'quota_exceeded' ? { headers: { 'x-should-retry': 'false' } } : {}),
  });
}

/** What the terms say about an outcome beyond its name. */
export function messageFor(outcome: Outcome, terms: KeyTerms): string | undefined {
  if (outcome === 'not_started' && terms.startsAtMs !== null) {
    return `This API key is not valid before ${spelled(terms.startsAtMs)}.`;
  }
  if (outcome === 'expired' && terms.expiresAtMs !== null) {
    return `This API key expired at ${spelled(terms.expiresAtMs)}.`;
  }
  return undefined;
}

/** A moment beyond what a Date can hold has no spelling. */
function spelled(atMs: number): string {
  const at = new Date(atMs);
  return Number.isNaN(at.getTime()) ? 'a time out of range' : at.toISOString();
}
