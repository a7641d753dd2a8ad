/** The script in TypeScript: what tests hold it to, and what limits while Redis is away. */
import { admit, type Opened } from './admit.ts';
import type { Batch, Hold, Lease, LimitOp, LimitReply, Transacted } from './batch.ts';
import { has, leaseName, type LeaseTerms } from './leases.ts';
import {
  closeScope,
  count,
  countElsewhere,
  hold,
  openScope,
  purge,
  replaceEstimate,
  useOf,
  type OpenScope,
  type StoredScope,
} from './open-scope.ts';

/** Tag → what is stored of the scope; the one used last comes last. */
export type Store = Map<string, StoredScope>;

/** Runs a batch on `store`, which it changes. */
export function transactInMemory(store: Store, batch: Batch, nowMs: number): Transacted {
  const { leaseMs } = batch;
  const scopes = batch.scopes.map((rules) => openScope(rules, store.get(rules.tag), nowMs));
  const opened = { scopes, nowMs, leaseMs };
  const replies = batch.ops.map((op) => run(op, opened));
  for (const scope of scopes) {
    const { tag } = scope.rules;
    const stored = store.get(tag);
    store.delete(tag);
    store.set(tag, closeScope(scope, stored));
  }
  return { nowMs, replies, used: scopes.map((scope) => useOf(scope, nowMs)) };
}

function run(op: LimitOp, opened: Opened): LimitReply {
  switch (op.op) {
    case 'admit':
      return admit(op, opened);
    case 'settle':
      return eachHold(op.lease, opened, (scope, name, terms) =>
        settle(scope, { name, terms, used: op.used ?? 0, again: op.again }),
      );
    case 'undo':
      return eachHold(op.lease, opened, undo);
    case 'renew':
      return eachHold(op.lease, opened, (scope, name, terms) => {
        if (!scope.leases.has(name)) return false;
        hold(scope, op.lease.id, terms, opened.nowMs + opened.leaseMs);
        return true;
      });
    case 'charge':
      return eachHold(op.lease, opened, (scope, name, terms) => charge(scope, { name, terms, op, opened }));
    case 'reap': {
      const scope = opened.scopes[op.scope];
      return scope ? purge(scope, { ...opened, max: op.max }) : 0;
    }
    case 'reset':
      return reset(opened.scopes[op.scope], op.periodStartMs);
    default:
      return op satisfies never;
  }
}

function eachHold(
  { id, tokens, atMs, holds }: Lease,
  { scopes }: Opened,
  apply: (scope: OpenScope, name: string, terms: LeaseTerms) => boolean,
): number {
  const applied = holds.filter(({ scope: at, flags }: Hold) => {
    const scope = scopes[at];
    const terms = { tokens, atMs, flags };
    return scope !== undefined && apply(scope, leaseName(id, terms), terms);
  });
  return applied.length;
}

interface Settling {
  readonly name: string;
  readonly terms: LeaseTerms;
  readonly used: number;
  readonly again: boolean;
}

function settle(scope: OpenScope, { name, terms, used, again }: Settling): boolean {
  if (!has(terms.flags, 'lease')) return false;
  if (scope.leases.delete(name)) {
    replaceEstimate(scope, terms, used);
    return true;
  }
  // It had expired and its estimate was given back; or, on a second try, the first may have been applied.
  if (again || used === 0) return false;
  replaceEstimate(scope, { ...terms, tokens: 0 }, used);
  return true;
}

interface Charging {
  readonly name: string;
  readonly terms: LeaseTerms;
  readonly op: Extract<LimitOp, { op: 'charge' }>;
  readonly opened: Opened;
}

function charge(scope: OpenScope, { name, terms, op, opened }: Charging): boolean {
  if (has(terms.flags, 'lease')) {
    if (scope.leases.has(name)) return false;
    hold(scope, op.lease.id, terms, opened.nowMs + opened.leaseMs);
  } else if (op.once) {
    if (scope.charged?.has(op.lease.id) === true) return false;
    scope.charged = (scope.charged ?? new Set()).add(op.lease.id);
  }
  countElsewhere(scope, op.requests, terms, opened.nowMs);
  return true;
}

function undo(scope: OpenScope, name: string, terms: LeaseTerms): boolean {
  if (has(terms.flags, 'lease') && !scope.leases.delete(name)) return false;
  replaceEstimate(scope, terms, 0);
  if (has(terms.flags, 'requests')) count(scope, -1, 0, terms.atMs);
  return true;
}

function reset(scope: OpenScope | undefined, periodStartMs: number): number {
  if (scope?.quota === undefined || scope.quota.startMs >= periodStartMs) return 0;
  scope.quota = { ...scope.quota, used: 0, startMs: periodStartMs, endMs: 0 };
  scope.quotaChanged = true;
  return 1;
}
