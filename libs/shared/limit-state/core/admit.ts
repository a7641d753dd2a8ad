/** Whether a request fits all its scopes; if so it is charged to each, if not to none. */
import type { Admitted, Figure, Hold, LimitName, LimitOp, LimitScope, Refusal, Refused } from './batch.ts';
import { has } from './leases.ts';
import { count, hold, purge, type OpenScope } from './open-scope.ts';
import { quotaWaitMs, soonMs } from './quota.ts';
import { never, windowLeft, windowWaitMs } from './sliding-window.ts';
import { bucketLeft, bucketWaitMs } from './token-bucket.ts';
import { holdOf } from './wire.ts';

const purgedMax = 100;

export interface Opened {
  readonly scopes: readonly OpenScope[];
  readonly nowMs: number;
  readonly leaseMs: number;
}

type Admit = Extract<LimitOp, { op: 'admit' }>;

/** A limit and how long it makes the request wait. */
interface Wait {
  readonly limit: LimitName;
  readonly waitMs: number;
}

/** What a scope says of a request. */
interface Opinion {
  /** The enforced limit that makes it wait longest. */
  readonly refusal: Wait | undefined;
  /** The limit of a shadow scope that would refuse: such a request is not charged to it. */
  readonly shed: LimitName | undefined;
  /** A quota in shadow mode would refuse; it is charged all the same. */
  readonly over: boolean;
}

interface Asked extends Opinion {
  readonly at: number;
}

export function admit(op: Admit, opened: Opened): Admitted | Refused {
  const ask = (at: number): Asked => ({ at, ...opinion(scopeAt(opened, at), op.tokens, opened) });
  const base = op.scopes.map(ask);
  const refusing = longest(base);
  const alternative = refusing === undefined ? choose(op.alternatives ?? [], ask) : undefined;
  const asked = alternative === undefined ? base : [...base, alternative];
  const refused = refusing ?? alternative;
  const shadow = asked.flatMap(shadowRefusals);
  if (refused?.refusal !== undefined) {
    const { limit, waitMs: retryAfterMs } = refused.refusal;
    const refusal = { granted: false, scope: refused.at, limit, retryAfterMs } as const;
    return { ...refusal, ...figures(asked, opened), shadowRefusals: shadow };
  }
  const held = asked.map((one) => charge(one, op, opened)).filter(({ flags }) => flags !== 0);
  const lease = { id: op.id, tokens: op.tokens, atMs: opened.nowMs, holds: held };
  const granted = { granted: true, alternative: alternative?.at ?? -1, lease } as const;
  return { ...granted, ...figures(asked, opened), shadowRefusals: shadow };
}

function scopeAt({ scopes }: Opened, at: number): OpenScope {
  const scope = scopes[at];
  if (scope === undefined) throw new RangeError(`the batch has no scope ${at}`);
  return scope;
}

export const isLonger = (waitMs: number, than: number): boolean =>
  than !== never && (waitMs === never || waitMs > than);

const longer = (a: Wait | undefined, b: Wait): Wait | undefined =>
  isLonger(b.waitMs, a?.waitMs ?? 0) ? b : a;

function longest(asked: readonly Asked[]): Asked | undefined {
  let found: Asked | undefined;
  for (const one of asked) {
    if (one.refusal && isLonger(one.refusal.waitMs, found?.refusal?.waitMs ?? 0)) found = one;
  }
  return found;
}

/** The first that fits; else the one that will soonest. */
function choose(alternatives: readonly number[], ask: (at: number) => Asked): Asked | undefined {
  let soonest: Asked | undefined;
  for (const at of alternatives) {
    const one = ask(at);
    if (one.refusal === undefined) return one;
    if (!soonest?.refusal || isLonger(soonest.refusal.waitMs, one.refusal.waitMs)) soonest = one;
  }
  return soonest;
}

/** Before a scope refuses, those of its leases that have expired are ended. */
function opinion(scope: OpenScope, tokens: number, opened: Opened): Opinion {
  const byRates = ratesRefusal(scope, tokens, opened.nowMs);
  const byQuota = quotaRefusal(scope, tokens);
  if ((byRates ?? byQuota) !== undefined && hasRoomAfterPurge(scope, opened)) {
    return opinion(scope, tokens, opened);
  }
  return enforce(scope.rules, byRates, byQuota);
}

function enforce(
  { shadow, quota }: LimitScope,
  byRates: Wait | undefined,
  byQuota: Wait | undefined,
): Opinion {
  const enforced = shadow === true ? undefined : byRates;
  const isQuotaShadow = quota?.shadow === true;
  return {
    refusal: byQuota && !isQuotaShadow ? longer(enforced, byQuota) : enforced,
    shed: shadow === true ? byRates?.limit : undefined,
    over: byQuota !== undefined && isQuotaShadow,
  };
}

function hasRoomAfterPurge(scope: OpenScope, opened: Opened): boolean {
  if (scope.isPurged) return false;
  scope.isPurged = true;
  return purge(scope, { ...opened, max: purgedMax }) > 0;
}

function quotaRefusal({ rules: { quota }, quota: state }: OpenScope, tokens: number): Wait | undefined {
  const waitMs = quota && state ? quotaWaitMs(state, quota.total, tokens) : 0;
  return waitMs === 0 ? undefined : { limit: 'quota', waitMs };
}

function ratesRefusal(scope: OpenScope, tokens: number, nowMs: number): Wait | undefined {
  const { rates, bucketRules } = scope;
  const { requestsPerMinute: rpm, tokensPerMinute: tpm, maxConcurrent = Infinity } = scope.rules.limits ?? {};
  let found: Wait | undefined;
  const consider = (limit: LimitName, waitMs: number): void =>
    void (found = longer(found, { limit, waitMs }));
  if (rates !== undefined) {
    if (bucketRules) consider('requests_per_second', bucketWaitMs(rates.bucket, bucketRules));
    if (rpm !== undefined) consider('requests_per_minute', windowWaitMs(rates.requests, rpm, 1, nowMs));
    if (tpm !== undefined) consider('tokens_per_minute', windowWaitMs(rates.tokens, tpm, tokens, nowMs));
  }
  if (scope.leases.size + 1 > maxConcurrent) consider('max_concurrent', maxConcurrent < 1 ? never : soonMs);
  return found;
}

function charge({ at, shed, over }: Asked, { id, tokens }: Admit, opened: Opened): Hold {
  const scope = scopeAt(opened, at);
  const { nowMs: atMs } = opened;
  const flags = holdOf(scope.rules, shadowRefusals({ at, shed, over }), at);
  if (has(flags, 'requests')) count(scope, 1, has(flags, 'tokens') ? tokens : 0, atMs);
  if (has(flags, 'quota') && scope.quota !== undefined) {
    scope.quota = { ...scope.quota, reserved: scope.quota.reserved + tokens };
    scope.quotaChanged = true;
  }
  if (has(flags, 'lease')) hold(scope, id, { tokens, atMs, flags }, atMs + opened.leaseMs);
  return { scope: at, flags };
}

function shadowRefusals({ at, shed, over }: Omit<Asked, 'refusal'>): Refusal[] {
  const refusals: Refusal[] = shed === undefined ? [] : [{ scope: at, limit: shed }];
  return over ? [...refusals, { scope: at, limit: 'quota' }] : refusals;
}

function figures(
  asked: readonly Asked[],
  opened: Opened,
): { requests: Figure | null; tokens: Figure | null } {
  const requests: Figure[] = [];
  const tokens: Figure[] = [];
  for (const { rates, bucketRules, rules } of asked.map(({ at }) => scopeAt(opened, at))) {
    if (rates === undefined || rules.shadow === true) continue;
    const { requestsPerMinute: rpm, tokensPerMinute: tpm } = rules.limits ?? {};
    if (bucketRules) {
      requests.push({ limit: Math.floor(bucketRules.burst), ...bucketLeft(rates.bucket, bucketRules) });
    }
    if (rpm !== undefined) requests.push({ limit: rpm, ...windowLeft(rates.requests, rpm, opened.nowMs) });
    if (tpm !== undefined) tokens.push({ limit: tpm, ...windowLeft(rates.tokens, tpm, opened.nowMs) });
  }
  return { requests: tightest(requests), tokens: tightest(tokens) };
}

function tightest(all: readonly Figure[]): Figure | null {
  const [first, ...others] = all;
  if (first === undefined) return null;
  const least = others.reduce((best, one) => (best.remaining <= one.remaining ? best : one), first);
  return { ...least, remaining: Math.max(0, Math.floor(least.remaining)) };
}
