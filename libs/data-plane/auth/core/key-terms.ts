/**
 * What a source said of a key, understood once for all sources. A field that is there but cannot be understood is
 * listed in `unreadable`, and the key is as good as disabled: nothing is let in on a guess.
 */
import { parseRanges, type IpRanges } from '@llmproxy/client-ip';
import { parseAllowedModels, type AllowsModel } from './allowed-models.ts';
import { parseInstant } from './instant.ts';
import {
  fieldOf,
  listFrom,
  numberFrom,
  objectFrom,
  textFrom,
  unreadable,
  type KeyData,
  type Unreadable,
} from './key-fields.ts';

export type KeyStatus = 'active' | 'disabled' | 'expired' | 'quota_exceeded';

/** Limits of the key itself: null is unset, `Infinity` says that there is none, 0 blocks everything. */
export interface KeyRates {
  readonly requestsPerSecond: number | null;
  readonly burstSize: number | null;
  readonly requestsPerMinute: number | null;
  readonly tokensPerMinute: number | null;
  readonly maxConcurrent: number | null;
}

/** Tokens per period; 0 blocks everything. */
export interface KeyQuota {
  readonly total: number;
  /** What the source says is used, as of `lastResetAtMs` or now. */
  readonly used: number;
  readonly period: 'daily' | 'weekly' | 'monthly' | 'never';
  /** When `used` began to count, ms since 1970 UTC; null: in the current period. */
  readonly lastResetAtMs: number | null;
}

export interface KeyTerms {
  readonly name: string | null;
  readonly userId: string | null;
  /** Why the source itself refuses the key, '' without a reason; null when it does not. */
  readonly denial: string | null;
  readonly status: KeyStatus;
  /** Ms since 1970 UTC before which the key is not valid; null = no bound. */
  readonly startsAtMs: number | null;
  /** Ms since 1970 UTC from which the key is no longer valid; null = never. */
  readonly expiresAtMs: number | null;
  /** Null: none is refused. */
  readonly deniedIps: IpRanges | null;
  /** Null: all are allowed. */
  readonly allowedIps: IpRanges | null;
  /** Null: unlimited. */
  readonly quota: KeyQuota | null;
  readonly balance: number | null;
  /** Null: all. */
  readonly allowedModels: AllowsModel | null;
  /** Null: the key brings no limits. */
  readonly rates: KeyRates | null;
  /** The fields that could not be understood, by name, as an operator is told of them. */
  readonly unreadable: readonly string[];
}

/** The documented integers of a status, by index. */
const statusByInt = ['active', 'disabled', 'quota_exceeded', 'expired'] as const;
const statusByWord: ReadonlyMap<string, KeyStatus> = new Map([
  ['active', 'active'],
  ['enabled', 'active'],
  ['disabled', 'disabled'],
  ['expired', 'expired'],
  ['quota_exceeded', 'quota_exceeded'],
]);
const periods = ['daily', 'weekly', 'monthly', 'never'] as const;

/** Reads a field, and notes its name when it makes no sense. */
type Read = <T>(name: string, value: T | Unreadable, otherwise: T) => T;

/** Understands what any source says of a key. */
export function keyTermsOf(data: KeyData): KeyTerms {
  const failed: string[] = [];
  const read: Read = (name, value, otherwise) => {
    if (value !== unreadable) return value as Exclude<typeof value, Unreadable>;
    failed.push(name);
    return otherwise;
  };
  const models = listFrom(fieldOf(data, 'allowed_models'));
  const instant = (...names: string[]) => {
    const value = parseInstant(fieldOf(data, ...names));
    return read(names[0] ?? '', value === 'unreadable' ? unreadable : value, null);
  };
  return {
    name: textFrom(fieldOf(data, 'name')),
    userId: textFrom(fieldOf(data, 'user_id')),
    denial: denialIn(data),
    status: read('status', statusFrom(fieldOf(data, 'status')), 'disabled'),
    startsAtMs: instant('starts_at'),
    expiresAtMs: instant('expires_at', 'expired_at', 'expire_at'),
    deniedIps: read('denied_ips', rangesFrom(fieldOf(data, 'denied_ips')), null),
    allowedIps: read('allowed_ips', rangesFrom(fieldOf(data, 'allowed_ips')), null),
    quota: quotaFrom(data, read, instant('last_reset_at')),
    balance: read('balance', numberFrom(fieldOf(data, 'balance')), null),
    allowedModels: read('allowed_models', models === unreadable ? unreadable : modelsFrom(models), noModel),
    rates: ratesFrom(data, read),
    unreadable: failed,
  };
}

const noModel: AllowsModel = () => false;

/** `allow` is how a source may refuse a key that it knows. Whatever is there and not plainly yes is no. */
function denialIn(data: KeyData): string | null {
  const allow = Object.hasOwn(data, 'allow') ? data.allow : undefined;
  if (allow === undefined || allow === true || allow === 1) return null;
  if (typeof allow === 'string' && /^(?:true|1)$/i.test(allow)) return null;
  return textFrom(fieldOf(data, 'message')) ?? '';
}

function statusFrom(value: unknown): KeyStatus | Unreadable {
  if (value === undefined) return 'active';
  const text = textFrom(value)?.trim().toLowerCase() ?? '';
  const known = /^\d+$/.test(text) ? statusByInt[Number(text)] : statusByWord.get(text);
  return known ?? unreadable;
}

function rangesFrom(value: unknown): IpRanges | null | Unreadable {
  const entries = listFrom(value);
  if (entries === unreadable || entries.length === 0) return entries === unreadable ? unreadable : null;
  return parseRanges(entries) ?? unreadable;
}

function modelsFrom(entries: readonly string[]): AllowsModel | null | Unreadable {
  const models = parseAllowedModels(entries);
  return models === 'unreadable' ? unreadable : models;
}

function quotaFrom(data: KeyData, read: Read, lastResetAtMs: number | null): KeyQuota | null {
  const total = read('total_quota', numberFrom(fieldOf(data, 'total_quota', 'quota')), 0);
  const used = read('used_quota', numberFrom(fieldOf(data, 'used_quota', 'used')), null);
  const word = textFrom(fieldOf(data, 'quota_reset_period'))?.trim().toLowerCase() ?? 'never';
  const period = read('quota_reset_period', periods.find((known) => known === word) ?? unreadable, 'never');
  return total === null || total < 0 ? null : { total, used: used ?? 0, period, lastResetAtMs };
}

const rateNames = {
  requestsPerSecond: 'requests_per_second',
  burstSize: 'burst_size',
  requestsPerMinute: 'requests_per_minute',
  tokensPerMinute: 'tokens_per_minute',
  maxConcurrent: 'max_concurrent',
} as const satisfies Record<keyof KeyRates, string>;
const rateNamesKnown: ReadonlySet<string> = new Set(Object.values(rateNames));
/** Of a name that is none of ours, as much as is told. */
const nameLengthMax = 64;

const ratesOf = (rate: (name: string) => number | null): KeyRates => ({
  requestsPerSecond: rate(rateNames.requestsPerSecond),
  burstSize: rate(rateNames.burstSize),
  requestsPerMinute: rate(rateNames.requestsPerMinute),
  tokensPerMinute: rate(rateNames.tokensPerMinute),
  maxConcurrent: rate(rateNames.maxConcurrent),
});

/** Limits of which one has a name that we do not know block everything: that one cannot be kept. */
function ratesFrom(data: KeyData, read: Read): KeyRates | null {
  const general = limitsIn(data, 'rate_limit', read);
  const own = limitsIn(data, 'limits', read);
  if (general === 'blocked' || own === 'blocked') return ratesOf(() => 0);
  if (general === null && own === null) return null;
  const written = { ...general, ...own };
  return ratesOf((name) => {
    const value = read(`limits.${name}`, numberFrom(fieldOf(written, name)), 0);
    return value !== null && value < 0 ? Infinity : value;
  });
}

function limitsIn(data: KeyData, field: string, read: Read): KeyData | null | 'blocked' {
  const limits = read<KeyData | null | 'blocked'>(field, objectFrom(fieldOf(data, field)), 'blocked');
  if (limits === null || limits === 'blocked') return limits;
  const unknown = Object.keys(limits).filter(
    (name) => !rateNamesKnown.has(name) && fieldOf(limits, name) !== undefined,
  );
  for (const name of unknown)
    read(`limits.${name.slice(0, nameLengthMax)} (no such limit)`, unreadable, null);
  return unknown.length > 0 ? 'blocked' : limits;
}
