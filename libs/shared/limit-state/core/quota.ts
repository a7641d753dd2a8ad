/** Tokens of a period: what was used, and apart from it what requests under way have reserved. */
import type { Quota } from './batch.ts';
import { never } from './sliding-window.ts';

export interface QuotaState {
  readonly used: number;
  readonly reserved: number;
  /** Of the period that `used` belongs to, ms since 1970. */
  readonly startMs: number;
  /** Of the same period; 0: it has none, or nobody used the key since a reset. */
  readonly endMs: number;
}

/** What is held will be given back, nobody knows when. */
export const soonMs = 1000;

/** Clocks of gateways and of Redis differ by less. */
const aheadMs = 3_600_000;

/**
 * Whether a clock that ran ahead began a period whose time is far from come: nothing would be reset before it comes. Then
 * the period that is asked for takes its place, and what was used stays.
 */
export const isBegunAhead = (
  stored: QuotaState | undefined,
  quota: Quota | undefined,
  nowMs: number,
): boolean =>
  stored !== undefined &&
  quota !== undefined &&
  stored.startMs > quota.periodStartMs &&
  stored.startMs > nowMs + aheadMs;

/** The state as of the running period; undefined when nothing is stored and no quota is given. */
export function currentQuota(
  stored: QuotaState | undefined,
  quota: Quota | undefined,
  { inFlight, nowMs }: { readonly inFlight: number; readonly nowMs: number },
): QuotaState | undefined {
  const state =
    stored ?? (quota && { used: quota.used, reserved: 0, startMs: quota.periodStartMs, endMs: 0 });
  if (state === undefined) return undefined;
  // Where nobody holds a lease, nothing can be reserved: what a lost lease left behind heals here.
  const reserved = inFlight > 0 ? state.reserved : 0;
  if (quota === undefined) return { ...state, reserved };
  const hasPassed = state.startMs < quota.periodStartMs;
  const used = hasPassed ? 0 : state.used;
  const startMs = hasPassed || isBegunAhead(stored, quota, nowMs) ? quota.periodStartMs : state.startMs;
  return { used, reserved, startMs, endMs: endOf(quota, startMs) ?? state.endMs };
}

/** Undefined where the clock of the asker is behind: it speaks of a period that has been ended. */
const endOf = ({ periodEndMs }: Quota, startMs: number): number | undefined =>
  periodEndMs === 0 || periodEndMs > startMs ? periodEndMs : undefined;

/** 0: the tokens fit; -1: not in this period; else only reservations are in the way. */
export function quotaWaitMs({ used, reserved }: QuotaState, total: number, tokens: number): number {
  if (used >= total || used + tokens > total) return never;
  return used + reserved + tokens > total ? soonMs : 0;
}

/** An estimate replaced by what was used. */
export function settledQuota(state: QuotaState, estimate: number, used: number): QuotaState {
  return { ...state, reserved: Math.max(0, state.reserved - estimate), used: state.used + used };
}
