/** Which limits a request meets: those of the whole gateway, of its key, of its client's address and of the backends. */
import type { Caller } from '@llmproxy/auth';
import { ipScope } from '@llmproxy/client-ip';
import type { LimitScope, Quota, RateLimits } from '@llmproxy/limit-state';
import type { PeriodBounds, Periods } from '@llmproxy/time';

/** Limits of one kind of scope, as the operator set them; undefined: not limited. */
export interface ScopeRules {
  readonly limits: RateLimits;
  readonly shadow: boolean;
}

export interface LimitRules {
  readonly global: ScopeRules | undefined;
  /** Undefined: keys are not limited, whatever they bring; their quotas stay. */
  readonly perKey: ScopeRules | undefined;
  readonly perIp: ScopeRules | undefined;
  /** Only backends that are limited. */
  readonly backends: ReadonlyMap<string, ScopeRules>;
  readonly quotaShadow: boolean;
  readonly periods: Periods;
  /** Ms since 1970 UTC. */
  nowMs(): number;
}

export interface LimitScopes {
  /** Whether any backend is limited. */
  readonly limitsBackends: boolean;
  /** All that must have room for the request, whichever backend it goes to. */
  of(caller: Caller): LimitScope[];
  /** Undefined for a backend that is not limited. */
  backend(name: string): LimitScope | undefined;
}

interface KeyScope {
  readonly scope: LimitScope | undefined;
  /** End of the quota period that the scope was made for, ms since 1970 UTC. */
  readonly validUntilMs: number;
}

export function createLimitScopes(rules: LimitRules): LimitScopes {
  const global = rules.global && { tag: 'g', ...rules.global };
  const backends = new Map<string, LimitScope>();
  for (const [name, scopeRules] of rules.backends) backends.set(name, { tag: `b:${name}`, ...scopeRules });
  // The terms of a key are one object for as long as they do not change; with them goes what was made of them here.
  const keyScopes = new WeakMap<NonNullable<Caller['allowance']>, KeyScope>();

  const keyScope = ({ keyId, allowance }: Caller): LimitScope | undefined => {
    if (keyId === null || allowance === null) return undefined;
    const nowMs = rules.nowMs();
    let known = keyScopes.get(allowance);
    if (known === undefined || nowMs >= known.validUntilMs) {
      known = keyScopeOf(keyId, allowance, rules, nowMs);
      keyScopes.set(allowance, known);
    }
    return known.scope;
  };
  return {
    limitsBackends: backends.size > 0,
    of: (caller) => {
      const scopes: LimitScope[] = [];
      if (global) scopes.push(global);
      if (rules.perIp && caller.ip !== '') scopes.push({ tag: `ip:${ipScope(caller.ip)}`, ...rules.perIp });
      const key = keyScope(caller);
      if (key) scopes.push(key);
      return scopes;
    },
    backend: (name) => backends.get(name),
  };
}

function keyScopeOf(
  keyId: string,
  allowance: NonNullable<Caller['allowance']>,
  rules: LimitRules,
  nowMs: number,
): KeyScope {
  const { quota } = allowance;
  const limits = keyLimits(allowance, rules);
  const shadow = rules.perKey?.shadow ?? false;
  const tag = `k:${keyId}`;
  if (quota === null || quota.total === Infinity) {
    return { scope: isUnlimited(limits) ? undefined : { tag, limits, shadow }, validUntilMs: Infinity };
  }
  const period = rules.periods.bounds(quota.period, nowMs);
  const scope = { tag, limits, shadow, quota: quotaOf(quota, period, rules.quotaShadow) };
  return { scope, validUntilMs: period.endMs };
}

function keyLimits({ rates }: NonNullable<Caller['allowance']>, { perKey }: LimitRules): RateLimits {
  if (perKey === undefined) return {};
  return rates === null ? perKey.limits : { ...perKey.limits, ...ownLimits(rates) };
}

const isUnlimited = (limits: RateLimits): boolean =>
  Object.values(limits).every((limit) => limit === undefined);

type KeyRates = NonNullable<NonNullable<Caller['allowance']>['rates']>;
type KeyQuota = NonNullable<NonNullable<Caller['allowance']>['quota']>;

/** The settings a key brings itself; what it leaves out stays as it is for all keys, and `Infinity` lifts a limit. */
function ownLimits(rates: KeyRates): RateLimits {
  const own: { -readonly [K in keyof RateLimits]: RateLimits[K] } = {};
  const take = (name: keyof RateLimits, value: number | null): void => {
    if (value !== null) own[name] = value === Infinity ? undefined : value;
  };
  take('requestsPerSecond', rates.requestsPerSecond);
  // The burst for all keys belongs to the rate for all keys.
  if (rates.requestsPerSecond !== null) own.burst = undefined;
  take('burst', rates.burstSize);
  take('requestsPerMinute', rates.requestsPerMinute);
  take('tokensPerMinute', rates.tokensPerMinute);
  take('maxConcurrent', rates.maxConcurrent);
  return own;
}

/** What the key had used before the gateway counted, unless that was in an earlier period. */
function quotaOf(quota: KeyQuota, { startMs, endMs }: PeriodBounds, shadow: boolean): Quota {
  const isOfThisPeriod = quota.lastResetAtMs === null || quota.lastResetAtMs >= startMs;
  return {
    total: quota.total,
    used: isOfThisPeriod ? quota.used : 0,
    periodStartMs: startMs,
    periodEndMs: endMs === Infinity ? 0 : endMs,
    shadow,
  };
}
