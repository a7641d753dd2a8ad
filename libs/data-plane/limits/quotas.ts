/** What this worker knows of quotas, and what it owes them: use that it could not tell Redis when it happened. */
import { holds, type LimitScope } from '@llmproxy/limit-state';
import type { KnownQuota } from './core/local-share.ts';
import type { Answer, LeaseCall } from './gathering.ts';

const scopesMax = 10_000;

interface Debt {
  readonly scope: LimitScope;
  readonly tokens: number;
}

export class Quotas {
  readonly #known = new Map<string, KnownQuota>();
  readonly #owed = new Map<string, Debt>();

  /** Takes note of what Redis said of a quota. */
  note({ reply, scopes }: Answer): void {
    if (!reply.granted || reply.quotaSpent < 0) return;
    const { holds: held } = reply.lease;
    const scope = scopes[held.find(({ flags }) => (flags & holds.quota) !== 0)?.scope ?? -1];
    if (scope?.quota === undefined) return;
    makeRoom(this.#known, scope.tag);
    this.#known.set(scope.tag, { spent: reply.quotaSpent, periodStartMs: scope.quota.periodStartMs });
  }

  known(tag: string): KnownQuota | undefined {
    return this.#known.get(tag);
  }

  /** `scope` has a quota. */
  owe(scope: LimitScope, tokens: number): void {
    makeRoom(this.#owed, scope.tag);
    const before = this.#owed.get(scope.tag)?.tokens ?? 0;
    this.#owed.set(scope.tag, { scope, tokens: before + tokens });
  }

  /** A settle that Redis will not hear of: its lease ends by itself, its use is owed. */
  oweFor(call: LeaseCall): void {
    if (call.op !== 'settle' || call.used === null) return;
    const { scopes, lease } = call.held;
    for (const { scope: index, flags } of lease.holds) {
      const scope = scopes[index];
      if (scope && (flags & holds.quota) !== 0) this.owe(scope, call.used);
    }
  }

  /** All that is owed, as settles of leases that have ended; it is owed no longer. */
  takeDebts(): LeaseCall[] {
    if (this.#owed.size === 0) return [];
    const debts = [...this.#owed.values()].map(({ scope, tokens }) => settleOf(scope, tokens));
    this.#owed.clear();
    return debts;
  }
}

function settleOf(scope: LimitScope, used: number): LeaseCall {
  const ended = [{ scope: 0, flags: holds.quota + holds.lease }];
  const lease = { id: 'owed', tokens: 0, atMs: 0, holds: ended };
  return { op: 'settle', held: { scopes: [scope], lease }, used, again: false };
}

function makeRoom(map: Map<string, unknown>, tag: string): void {
  if (map.size < scopesMax || map.has(tag)) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
