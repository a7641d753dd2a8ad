/** Failed authentications by scope, in memory of bounded size. It is the model of `count-failure.lua` as well. */
import { RecentlyUsed } from './recently-used.ts';

export interface FailurePolicy {
  /** So many failures within a window block a scope. At least 1. */
  readonly failuresMax: number;
  /** A window begins with the first failure and lasts so long, in ms. */
  readonly windowMs: number;
  /** How long a scope stays blocked, in ms. */
  readonly blockMs: number;
}

interface Counted {
  readonly failures: number;
  /** End of the window, or of the block. */
  readonly untilMs: number;
}

export class FailureCount {
  readonly #policy: FailurePolicy;
  readonly #counted: RecentlyUsed<Counted>;
  readonly #blockedUntil: RecentlyUsed<number>;

  /** @param scopesMax scopes that are remembered; beyond it the one unused for longest is forgotten */
  constructor(policy: FailurePolicy, scopesMax: number) {
    this.#policy = policy;
    this.#counted = new RecentlyUsed(scopesMax);
    this.#blockedUntil = new RecentlyUsed(scopesMax);
  }

  /** Counts one failure; returns for how long the scope is blocked now, 0 when it is not. */
  failed(scope: string, nowMs: number): number {
    const { failuresMax, windowMs, blockMs } = this.#policy;
    const blockedMs = this.blockedMs(scope, nowMs);
    if (blockedMs > 0) return blockedMs;
    const counted = this.#counted.get(scope);
    const inWindow = counted !== undefined && nowMs < counted.untilMs;
    const failures = inWindow ? counted.failures + 1 : 1;
    if (failures >= failuresMax) {
      this.block(scope, nowMs + blockMs);
      return blockMs;
    }
    this.#counted.set(scope, { failures, untilMs: inWindow ? counted.untilMs : nowMs + windowMs });
    return 0;
  }

  block(scope: string, untilMs: number): void {
    this.#counted.delete(scope);
    this.#blockedUntil.set(scope, untilMs);
  }

  /** For how long the scope is still blocked, in ms; 0: it is not. */
  blockedMs(scope: string, nowMs: number): number {
    if (this.#blockedUntil.size === 0) return 0;
    const untilMs = this.#blockedUntil.get(scope);
    if (untilMs === undefined) return 0;
    if (nowMs < untilMs) return untilMs - nowMs;
    this.#blockedUntil.delete(scope);
    return 0;
  }
}
