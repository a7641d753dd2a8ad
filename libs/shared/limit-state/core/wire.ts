/** A batch as the script reads it: arrays of numbers, for every byte is parsed by Redis' one thread. */
import type {
  Admitted,
  Batch,
  Figure,
  Hold,
  Lease,
  LimitName,
  LimitOp,
  LimitReply,
  LimitScope,
  RateLimits,
  Refusal,
  Refused,
} from './batch.ts';

/** Which keys of a scope a batch needs; they follow in this order. */
export const uses = { rates: 1, leases: 2, quota: 4 } as const;

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

export function encodeBatch({ leaseMs, scopes, ops }: Batch): string {
  return JSON.stringify([leaseMs, scopes.map(encodeScope), ops.map(encodeOp)]);
}

function encodeScope(scope: LimitScope): number[] {
  const { limits = {}, quota } = scope;
  const encoded = [
    usesOf(scope),
    orUnlimited(limits.requestsPerSecond),
    limits.requestsPerSecond === undefined ? 0 : burstOf(limits),
    orUnlimited(limits.requestsPerMinute),
    orUnlimited(limits.tokensPerMinute),
    orUnlimited(limits.maxConcurrent),
    scope.shadow === true ? 1 : 0,
    ratesTtlMs(scope.limits),
  ];
  if (quota !== undefined) {
    const { total, used, periodStartMs, periodEndMs, shadow } = quota;
    encoded.push(total, used, periodStartMs, periodEndMs, shadow ? 1 : 0);
  }
  return encoded;
}

const orUnlimited = (limit: number | undefined): number => limit ?? unlimited;

function encodeOp(op: LimitOp): unknown[] {
  switch (op.op) {
    case 'admit':
      return [1, op.id, op.tokens, op.scopes, op.alternatives ?? 0];
    case 'settle':
      return [2, ...encodeLease(op.lease), op.used ?? unlimited, op.again ? 1 : 0];
    case 'undo':
      return [3, ...encodeLease(op.lease)];
    case 'renew':
      return [4, ...encodeLease(op.lease)];
    case 'reap':
      return [5, op.scope, op.max];
    case 'reset':
      return [6, op.scope, op.periodStartMs];
    default:
      return op satisfies never;
  }
}

const encodeLease = ({ id, tokens, atMs, holds }: Lease) => [
  id,
  tokens,
  atMs,
  holds.flatMap(({ scope, flags }) => [scope, flags]),
];

/** [limit, remaining, reset in ms]; 0 where no limit of that kind is enforced */
type RawFigure = readonly [number, number, number] | 0;
/** Pairs: scope, limit; 0 for none */
type RawRefusals = readonly number[] | 0;
/** Pairs: scope, flags; 0 for none */
type RawHolds = readonly number[] | 0;
type RawGranted = readonly [1, number, RawFigure, RawFigure, RawRefusals, RawHolds, number];
type RawRefused = readonly [0, number, RawFigure, RawFigure, RawRefusals, number, number];
/** Time of the script and one entry per op. */
export type RawReply = readonly [number, readonly (RawGranted | RawRefused | number)[]];

/** @throws SyntaxError when the text is not the script's */
export function decodeReply(text: string, ops: readonly LimitOp[]): LimitReply[] {
  const [atMs, replies] = JSON.parse(text) as RawReply;
  return replies.map((raw, at) => {
    const op = ops[at];
    return typeof raw === 'number' || op?.op !== 'admit' ? Number(raw) : decodeAdmission(raw, op, atMs);
  });
}

function decodeAdmission(
  raw: RawGranted | RawRefused,
  { id, tokens }: { id: string; tokens: number },
  atMs: number,
): Admitted | Refused {
  const figures = {
    requests: figure(raw[2]),
    tokens: figure(raw[3]),
    shadowRefusals: refusals(raw[4]),
  };
  if (raw[0] === 1) {
    const lease = { id, tokens, atMs, holds: holdsOf(raw[5]) };
    return { granted: true, alternative: raw[1], lease, ...figures, quotaSpent: raw[6] };
  }
  const refusal = { scope: raw[1], limit: limitNames[raw[5]] ?? 'quota' };
  return { granted: false, ...refusal, retryAfterMs: raw[6], ...figures };
}

const figure = (raw: RawFigure): Figure | null =>
  raw === 0 ? null : { limit: raw[0], remaining: raw[1], resetMs: raw[2] };

function holdsOf(raw: RawHolds): Hold[] {
  const decoded: Hold[] = [];
  if (raw === 0) return decoded;
  for (let i = 0; i < raw.length; i += 2) decoded.push({ scope: raw[i] ?? 0, flags: raw[i + 1] ?? 0 });
  return decoded;
}

const none: readonly Refusal[] = [];
function refusals(raw: RawRefusals): readonly Refusal[] {
  if (raw === 0) return none;
  const decoded: Refusal[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    decoded.push({ scope: raw[i] ?? 0, limit: limitNames[raw[i + 1] ?? 0] ?? 'quota' });
  }
  return decoded;
}
