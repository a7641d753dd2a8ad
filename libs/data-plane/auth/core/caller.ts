/** Who is calling, and what they may use. */
import type { AllowsModel } from './allowed-models.ts';
import type { KeyData } from './key-fields.ts';
import type { KeyQuota, KeyRates, KeyTerms } from './key-terms.ts';

/** What hooks said of a caller. */
export type Metadata = Readonly<Record<string, unknown>>;

/** Limits and quota that a key brings; what is null here is left to the limits for all keys. */
export interface Allowance {
  readonly rates: KeyRates | null;
  readonly quota: KeyQuota | null;
}

export interface Caller {
  /** First 128 bits of the SHA-256 of the key, in hex; null when none was asked for. */
  readonly keyId: string | null;
  readonly maskedKey: string | null;
  readonly name: string | null;
  readonly userId: string | null;
  /** Address of the client, behind trusted proxies. */
  readonly ip: string;
  /** Whether a model may be used; null: all may. */
  readonly allowedModels: AllowsModel | null;
  /** Null for callers without a key. */
  readonly allowance: Allowance | null;
  readonly metadata: Metadata;
}

/** A key as a source knows it. The secret is not in it, unless the source itself put it into `data`. */
export interface KnownKey {
  readonly keyId: string;
  readonly maskedKey: string;
  readonly data: KeyData;
  readonly terms: KeyTerms;
}

export const noMetadata: Metadata = Object.freeze({});

/** A caller without a key, and without an address: say `{ ...anonymous, ip }` where one is known. */
export const anonymous: Caller = {
  keyId: null,
  maskedKey: null,
  name: null,
  userId: null,
  ip: '',
  allowedModels: null,
  allowance: null,
  metadata: noMetadata,
};

/** `user_id` and `name` that a hook gives win over those of the source. */
export function callerOf(key: KnownKey, terms: KeyTerms, ip: string, metadata: Metadata): Caller {
  return {
    keyId: key.keyId,
    maskedKey: key.maskedKey,
    name: labelIn(metadata.name) ?? terms.name,
    userId: labelIn(metadata.user_id) ?? terms.userId,
    ip,
    allowedModels: terms.allowedModels,
    allowance: terms,
    metadata,
  };
}

function labelIn(value: unknown): string | null {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value !== '' ? value : null;
}

/** What holds when two sources both speak of a key: the first that names its owner, and the tighter of all bounds. */
export function bothTerms(first: KeyTerms, second: KeyTerms): KeyTerms {
  return {
    ...first,
    name: first.name ?? second.name,
    userId: first.userId ?? second.userId,
    allowedModels: bothModels(first.allowedModels, second.allowedModels),
    quota: tighterQuota(first.quota, second.quota),
    rates:
      first.rates && second.rates ? tighterRates(first.rates, second.rates) : (first.rates ?? second.rates),
  };
}

function bothModels(first: AllowsModel | null, second: AllowsModel | null): AllowsModel | null {
  if (!first || !second) return first ?? second;
  return (model) => first(model) && second(model);
}

function tighterQuota(first: KeyQuota | null, second: KeyQuota | null): KeyQuota | null {
  if (!first || !second) return first ?? second;
  return second.total - second.used < first.total - first.used ? second : first;
}

function tighterRates(first: KeyRates, second: KeyRates): KeyRates {
  return {
    requestsPerSecond: tighter(first.requestsPerSecond, second.requestsPerSecond),
    burstSize: tighter(first.burstSize, second.burstSize),
    requestsPerMinute: tighter(first.requestsPerMinute, second.requestsPerMinute),
    tokensPerMinute: tighter(first.tokensPerMinute, second.tokensPerMinute),
    maxConcurrent: tighter(first.maxConcurrent, second.maxConcurrent),
  };
}

/** Unset leaves the limit for all keys in force, so "unlimited" beside it is the looser of the two. */
function tighter(first: number | null, second: number | null): number | null {
  if (first === null || second === null) {
    const given = first ?? second;
    return given === Infinity ? null : given;
  }
  return Math.min(first, second);
}
