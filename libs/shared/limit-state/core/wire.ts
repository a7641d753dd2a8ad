/**
 * A batch as the script reads it and its reply: flat arrays, for every table costs Redis' one thread, and numbers as
 * text cost it more.
 */
import {
  holds,
  type Admitted,
  type Batch,
  type Figure,
  type Hold,
  type Lease,
  type LimitName,
  type LimitOp,
  type LimitScope,
  type RateLimits,
  type Refusal,
  type Refused,
  type ScopeUse,
  type Transacted,
} from './batch.ts';
import { leasePrefix } from './leases.ts';

/** Which keys of a scope a batch needs; they follow in this order. */
export const uses = { rates: 1, leases: 2, quota: 4 } as const;
const isShadow = 8;
const hasQuota = 16;
const isQuotaShadow = 32;

const limitNames: readonly LimitName[] = [
  'requests_per_second',
  'requests_per_minute',
  'tokens_per_minute',
  'max_concurrent',
  'quota',
];

/** Two windows: after that nothing of a minute is left. */
const windowsMs = 120_000;
const unlimited = -1;

export const hasRates = (limits: RateLimits): boolean =>
  (limits.requestsPerSecond ?? limits.requestsPerMinute ?? limits.tokensPerMinute) !== undefined;

/** Sum of `uses`. A scope without limits is one that is looked after: all of it is read. */
export function usesOf({ limits, quota }: LimitScope): number {
  if (limits === undefined) return uses.rates + uses.leases + uses.quota;
  const rates = hasRates(limits) ? uses.rates : 0;
  const leased = limits.maxConcurrent ?? limits.tokensPerMinute ?? quota;
  return rates + (leased === undefined ? 0 : uses.leases) + (quota === undefined ? 0 : uses.quota);
}

export function burstOf({ requestsPerSecond = 0, burst }: RateLimits): number {
  return burst !== undefined && burst > 0 ? burst : Math.max(1, 2 * requestsPerSecond);
}

/** How long rates are kept: until the bucket is full and both windows have passed, whichever is later. */
function ratesTtlMs(limits: RateLimits | undefined): number {
  if (limits === undefined) return 0; // what is stored keeps its time
  const rps = limits.requestsPerSecond ?? 0;
  return rps > 0 ? Math.max(windowsMs, Math.ceil((burstOf(limits) / rps) * 1000)) : windowsMs;
}

/** Rules, scopes and ops, each with their count before them; indexes begin at 1, as in Lua. */
export function encodeBatch({ scopes, ops }: Batch): string {
  const rules: number[] = [];
  const ruleOf = new Map<RateLimits | undefined, number>();
  const encodedScopes: number[] = [];
  for (const scope of scopes) {
    let rule = ruleOf.get(scope.limits);
    if (rule === undefined) {
      rule = ruleOf.size + 1;
      ruleOf.set(scope.limits, rule);
      pushRule(rules, scope.limits);
    }
    pushScope(encodedScopes, scope, rule);
  }
  const encoded = [ruleOf.size, ...rules, scopes.length, ...encodedScopes, ops.length];
  const flat: (number | string)[] = encoded;
  for (const op of ops) pushOp(flat, op);
  return JSON.stringify(flat);
}

function pushRule(to: number[], limits: RateLimits | undefined): void {
  const { requestsPerSecond, requestsPerMinute, tokensPerMinute, maxConcurrent } = limits ?? {};
  to.push(
    requestsPerSecond ?? unlimited,
    requestsPerSecond === undefined || limits === undefined ? 0 : burstOf(limits),
    requestsPerMinute ?? unlimited,
    tokensPerMinute ?? unlimited,
    maxConcurrent ?? unlimited,
    ratesTtlMs(limits),
  );
}

function pushScope(to: number[], scope: LimitScope, rule: number): void {
  const { quota } = scope;
  const flags = usesOf(scope) + (scope.shadow === true ? isShadow : 0);
  if (quota === undefined) {
    to.push(rule, flags);
    return;
  }
  const { total, used, periodStartMs, periodEndMs } = quota;
  const quotaFlags = hasQuota + (quota.shadow ? isQuotaShadow : 0);
  to.push(rule, flags + quotaFlags, total, used, periodStartMs, periodEndMs);
}

const codes = { admit: 1, settle: 2, undo: 3, renew: 4, reap: 5, reset: 6, charge: 7 } as const;

function pushOp(to: (number | string)[], op: LimitOp): void {
  to.push(codes[op.op]);
  if ('lease' in op) {
    if (op.op === 'settle') to.push(op.used ?? unlimited, op.again ? 1 : 0);
    else if (op.op === 'charge') to.push(op.requests, op.once ? 1 : 0);
    pushLease(to, op.lease);
  } else if (op.op === 'admit') {
    to.push(leasePrefix(op.id, op.tokens), op.tokens);
    pushIndexes(to, op.scopes);
    pushIndexes(to, op.alternatives ?? []);
  } else {
    to.push(op.scope + 1, op.op === 'reap' ? op.max : op.periodStartMs);
  }
}

function pushIndexes(to: (number | string)[], indexes: readonly number[]): void {
  to.push(indexes.length);
  for (const index of indexes) to.push(index + 1);
}

function pushLease(to: (number | string)[], { id, tokens, atMs, holds: held }: Lease): void {
  to.push(`${leasePrefix(id, tokens)}${atMs}:`, tokens, atMs, held.length);
  for (const { scope, flags } of held) to.push(scope + 1, flags);
}

/** Reads the script's reply from its start to its end. */
class Cursor {
  readonly #reply: readonly number[];
  #next = 0;

  constructor(reply: readonly number[]) {
    this.#reply = reply;
  }

  take(): number {
    const value = this.#reply[this.#next++];
    if (value === undefined) throw new RangeError('the reply of the limits script is too short');
    return value;
  }
}

/** @throws RangeError when the reply is not one to this batch */
export function decodeReply(reply: readonly number[], batch: Batch): Transacted {
  const cursor = new Cursor(reply);
  const nowMs = cursor.take();
  const replies = batch.ops.map((op) =>
    op.op === 'admit' ? decodeAdmission(cursor, op, batch.scopes, nowMs) : cursor.take(),
  );
  return { nowMs, replies, used: batch.scopes.map((scope) => decodeUse(cursor, scope)) };
}

function decodeUse(cursor: Cursor, { limits, quota }: LimitScope): ScopeUse {
  return {
    requests: limits?.requestsPerMinute === undefined ? undefined : cursor.take(),
    tokens: limits?.tokensPerMinute === undefined ? undefined : cursor.take(),
    level: limits?.requestsPerSecond === undefined ? undefined : cursor.take(),
    quota: quota === undefined ? undefined : cursor.take(),
  };
}

type Admit = Extract<LimitOp, { op: 'admit' }>;

function decodeAdmission(
  cursor: Cursor,
  op: Admit,
  scopes: readonly LimitScope[],
  atMs: number,
): Admitted | Refused {
  if (cursor.take() === 0) {
    const scope = cursor.take();
    const limit = limitNames[cursor.take()] ?? 'quota';
    const retryAfterMs = cursor.take();
    return { granted: false, scope, limit, retryAfterMs, ...decodeTold(cursor) };
  }
  const alternative = cursor.take();
  const told = decodeTold(cursor);
  const held: Hold[] = [];
  const hold = (index: number): void => {
    const flags = holdOf(scopes[index], told.shadowRefusals, index);
    if (flags !== 0) held.push({ scope: index, flags });
  };
  op.scopes.forEach(hold);
  if (alternative >= 0) hold(alternative);
  const lease = { id: op.id, tokens: op.tokens, atMs, holds: held };
  return { granted: true, alternative, lease, ...told };
}

/** What a granted request holds in a scope: the script does not say what both sides know. */
export function holdOf(
  scope: LimitScope | undefined,
  shadowRefusals: readonly Refusal[],
  index: number,
): number {
  if (scope === undefined) return 0;
  const used = usesOf(scope);
  const isShed = shadowRefusals.some((one) => one.scope === index && one.limit !== 'quota');
  let flags = 0;
  if ((used & uses.rates) !== 0 && !isShed) flags += holds.requests + tokensOf(scope);
  if (scope.quota !== undefined) flags += holds.quota;
  return (used & uses.leases) !== 0 ? flags + holds.lease : flags;
}

/** Of a charge that counts once: the holds that no lease remembers. Each needs a key, after those of all scopes. */
export const rememberedOf = (op: LimitOp): readonly Hold[] =>
  op.op === 'charge' && op.once ? op.lease.holds.filter(({ flags }) => (flags & holds.lease) === 0) : [];

const tokensOf = ({ limits }: LimitScope): number =>
  limits?.tokensPerMinute === undefined ? 0 : holds.tokens;

function decodeTold(cursor: Cursor): Pick<Admitted, 'requests' | 'tokens' | 'shadowRefusals'> {
  const requests = decodeFigure(cursor);
  const tokens = decodeFigure(cursor);
  const count = cursor.take();
  if (count === 0) return { requests, tokens, shadowRefusals: none };
  const refusal = (): Refusal => ({ scope: cursor.take(), limit: limitNames[cursor.take()] ?? 'quota' });
  return { requests, tokens, shadowRefusals: Array.from({ length: count }, refusal) };
}

function decodeFigure(cursor: Cursor): Figure | null {
  const limit = cursor.take();
  return limit === unlimited ? null : { limit, remaining: cursor.take(), resetMs: cursor.take() };
}

const none: readonly Refusal[] = [];
