import fc from 'fast-check';
import { expect, test } from 'vitest';
import { History, isAdmitted, randomHistory, randomScopes, startMs } from '../random-history.ts';
import type { Lease, LimitOp, LimitReply, LimitScope } from './batch.ts';
import { leaseName, termsOf } from './leases.ts';
import { transactInMemory, type Store } from './model.ts';

const run = (store: Store, scope: LimitScope, op: LimitOp, nowMs: number) =>
  transactInMemory(store, { leaseMs: 30_000, scopes: [scope], ops: [op] }, nowMs).replies[0];
const admit = (id: string, tokens = 10): LimitOp => ({ op: 'admit', id, tokens, scopes: [0] });

test('reserved tokens are those of the leases that are open, after any history', () => {
  fc.assert(
    fc.property(randomScopes, randomHistory, (scopes, history) => {
      const store: Store = new Map();
      const lives = new History(scopes);
      for (const [afterMs, steps] of history) {
        const { replies } = transactInMemory(store, lives.batch(afterMs, steps), lives.nowMs);
        lives.note(replies);
        for (const reply of replies) {
          if (typeof reply === 'number') continue;
          expect(reply.requests?.remaining ?? 0).toBeGreaterThanOrEqual(0);
          expect(reply.tokens?.remaining ?? 0).toBeGreaterThanOrEqual(0);
        }
        for (const { leases, quota } of store.values()) {
          if (quota === undefined) continue;
          const open = [...leases.keys()].map(termsOf).filter(({ flags }) => (flags & 4) !== 0);
          expect(quota.reserved).toBe(open.reduce((sum, { tokens }) => sum + tokens, 0));
        }
      }
    }),
  );
});

/** What becomes of estimates, seen from outside: of the leases of `g`, each of which holds a quota. */
class Account {
  readonly #open = new Map<string, number>();
  reserved = 0;
  settled = 0;
  refunded = 0;

  note(ops: readonly LimitOp[], replies: readonly LimitReply[], held: ReadonlyMap<string, number>): void {
    for (const { lease } of replies.filter(isAdmitted)) this.#reserve(lease);
    for (const op of ops)
      if (op.op === 'charge' && op.lease.holds.some(({ flags }) => flags === 12)) this.#reserve(op.lease);
    for (const op of ops) if (op.op === 'settle') this.settled += this.#take(op.lease);
    // What is gone without a settle was undone or has expired.
    for (const [name, tokens] of this.#open) {
      if (!held.has(name) && this.#open.delete(name)) this.refunded += tokens;
    }
  }

  #reserve(lease: Lease): void {
    this.reserved += lease.tokens;
    this.#open.set(leaseName(lease.id, { ...lease, flags: 12 }), lease.tokens);
  }

  #take(lease: Lease): number {
    const name = leaseName(lease.id, { ...lease, flags: 12 });
    const tokens = this.#open.get(name) ?? 0;
    this.#open.delete(name);
    return tokens;
  }
}

test('what was reserved is settled, refunded or open, after any history', () => {
  fc.assert(
    fc.property(randomHistory, (history) => {
      const quota = { total: 1e9, used: 0, periodStartMs: 0, periodEndMs: 0, shadow: false };
      const scopes = ['g', 'k:1', 'b:a', 'b:b'].map((tag) => ({ tag, limits: { maxConcurrent: 3 }, quota }));
      const store: Store = new Map();
      const lives = new History(scopes);
      const account = new Account();
      for (const [afterMs, steps] of history) {
        const batch = lives.batch(afterMs, steps);
        const { replies } = transactInMemory(store, batch, lives.nowMs);
        lives.note(replies);
        account.note(batch.ops, replies, store.get('g')?.leases ?? new Map());
        const open = store.get('g')?.quota?.reserved ?? 0;
        expect(account.settled + account.refunded + open).toBe(account.reserved);
      }
    }),
  );
});

test('a refused request changes nothing', () => {
  fc.assert(
    fc.property(randomScopes, fc.nat(150), (scopes, tokens) => {
      const store: Store = new Map();
      const full = [...scopes, { tag: 'ip:1', limits: { requestsPerMinute: 0 } }];
      const op = { op: 'admit', id: 'r', tokens, scopes: [0, 1, 4], alternatives: [2, 3] } as const;
      transactInMemory(store, { leaseMs: 30_000, scopes: full, ops: [op] }, startMs);
      for (const { rates, leases, quota } of store.values()) {
        expect([rates, leases.size, quota]).toEqual([undefined, 0, undefined]);
      }
    }),
  );
});

test('the slots of a killed worker are free when its leases have expired, and its tokens given back', () => {
  const store: Store = new Map();
  const quota = { total: 100, used: 0, periodStartMs: 0, periodEndMs: 0, shadow: false };
  const scope = { tag: 'k:1', limits: { maxConcurrent: 2, tokensPerMinute: 100 }, quota };
  for (const id of ['a', 'b'])
    expect(run(store, scope, admit(id, 50), startMs)).toMatchObject({ granted: true });
  expect(run(store, scope, admit('c', 50), startMs + 29_999)).toMatchObject({ granted: false });
  expect(run(store, scope, admit('c', 50), startMs + 30_000)).toMatchObject({
    granted: true,
  });
  expect(store.get('k:1')?.quota).toMatchObject({ used: 0, reserved: 50 });
});

test('a long stream keeps its slot by being renewed, and its use is charged once although it was reaped', () => {
  const store: Store = new Map();
  const quota = { total: 1000, used: 0, periodStartMs: 0, periodEndMs: 0, shadow: false };
  const scope = { tag: 'k:1', limits: { maxConcurrent: 1 }, quota };
  const reply = run(store, scope, admit('a', 50), startMs);
  if (reply === undefined || !isAdmitted(reply)) throw new Error('expected to be granted');
  const { lease } = reply;
  expect(run(store, scope, { op: 'renew', lease }, startMs + 20_000)).toBe(1);
  expect(run(store, scope, { op: 'reap', scope: 0, max: 10 }, startMs + 49_999)).toBe(0);
  expect(run(store, scope, { op: 'reap', scope: 0, max: 10 }, startMs + 50_000)).toBe(1);
  expect(run(store, scope, { op: 'renew', lease }, startMs + 51_000)).toBe(0);
  const settle = { op: 'settle', lease, used: 70 } as const;
  expect(run(store, scope, { ...settle, again: false }, startMs + 60_000)).toBe(1);
  expect(run(store, scope, { ...settle, again: true }, startMs + 60_000)).toBe(0);
  expect(store.get('k:1')?.quota).toMatchObject({ used: 70, reserved: 0 });
});

test('of several limits the one that makes wait longest says when to come back', () => {
  const scope = { tag: 'g', limits: { requestsPerSecond: 1, burst: 1, requestsPerMinute: 1 } };
  const store: Store = new Map();
  run(store, scope, admit('a'), startMs);
  expect(run(store, scope, admit('b'), startMs)).toMatchObject({
    limit: 'requests_per_minute',
    retryAfterMs: 120_000,
  });
});
