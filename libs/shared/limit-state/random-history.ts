/** Random lives of requests, for specs: batches of ops over a few scopes, with leases that earlier batches granted. */
import fc from 'fast-check';
import {
  holds,
  type Admitted,
  type Batch,
  type Lease,
  type LimitOp,
  type LimitReply,
  type LimitScope,
} from './core/batch.ts';
import { holdOf } from './core/wire.ts';

const maybe = (max: number) => fc.option(fc.integer({ min: 0, max }), { nil: undefined, freq: 2 });

const limits = fc.record({
  requestsPerSecond: maybe(5),
  burst: maybe(4),
  requestsPerMinute: maybe(12),
  tokensPerMinute: maybe(300),
  maxConcurrent: maybe(5),
});

const quota = fc.record({
  total: fc.integer({ min: 0, max: 2000 }),
  used: fc.integer({ min: 0, max: 100 }),
  periodStartMs: fc.constant(0),
  periodEndMs: fc.constantFrom(0, 5, 20),
  shadow: fc.boolean(),
});

const scope = (tag: string) =>
  fc.record({
    tag: fc.constant(tag),
    limits,
    shadow: fc.boolean(),
    quota: fc.option(quota, { nil: undefined }),
  });

/** Two scopes that every request has and two backends to choose from. */
export const randomScopes: fc.Arbitrary<LimitScope[]> = fc.tuple(
  scope('g'),
  scope('k:1'),
  scope('b:a'),
  scope('b:b'),
);

/** `pick` chooses among the leases granted so far. */
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ op: fc.constant('admit' as const), tokens: fc.integer({ min: 0, max: 150 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('settle' as const),
      pick: fc.nat(),
      used: fc.option(fc.integer({ min: 0, max: 250 }), { nil: null }),
      again: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constantFrom('undo' as const, 'renew' as const), pick: fc.nat() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('charge' as const),
      tokens: fc.integer({ min: 0, max: 150 }),
      requests: fc.integer({ min: 0, max: 3 }),
      agoMs: fc.integer({ min: -1000, max: 130_000 }),
      isOpen: fc.boolean(),
      once: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('charge again' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('reap' as const), pick: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('reset' as const),
      pick: fc.nat(),
      periodStartMs: fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constant(4_000_000_000_000)),
    }),
  },
);

export type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Each entry: how long after the one before, and up to five ops. The clock may go back: a little, as in a failover, or for years. */
export const randomHistory = fc.array(
  fc.tuple(
    fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 0, max: 2_000 }) },
      { weight: 3, arbitrary: fc.integer({ min: 0, max: 70_000 }) },
      { weight: 1, arbitrary: fc.integer({ min: -5_000, max: 300_000 }) },
      { weight: 1, arbitrary: fc.constantFrom(-60_000, -3_600_000, -100_000_000_000, 100_000_000_000) },
    ),
    fc.array(step, { minLength: 1, maxLength: 5 }),
  ),
  { minLength: 1, maxLength: 25 },
);

export const startMs = 1_800_000_000_000;

/** Makes batches of the steps and remembers what was granted. */
export class History {
  readonly granted: Lease[] = [];
  readonly #scopes: readonly LimitScope[];
  /** That count once. */
  readonly #charged: LimitOp[] = [];
  #nowMs = startMs;
  #lastId = 0;

  constructor(scopes: readonly LimitScope[]) {
    this.#scopes = scopes;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  batch(afterMs: number, steps: readonly Step[]): Batch {
    this.#nowMs += afterMs;
    const looksAfter = steps.every(({ op }) => op === 'reap' || op === 'reset');
    const scopes = looksAfter ? this.#scopes.map(({ tag }) => ({ tag })) : this.#scopes;
    return { leaseMs: 30_000, scopes, ops: steps.flatMap((one) => this.#op(one)) };
  }

  /** Takes note of the leases in the replies to a batch. */
  note(replies: readonly LimitReply[]): void {
    this.granted.push(...replies.filter(isAdmitted).map(({ lease }) => lease));
  }

  #op(one: Step): LimitOp[] {
    switch (one.op) {
      case 'admit':
        return [
          {
            op: 'admit',
            id: `r:${++this.#lastId}`,
            tokens: one.tokens,
            scopes: [0, 1],
            alternatives: [2, 3],
          },
        ];
      case 'charge':
        return [this.#charge(one)];
      case 'charge again':
        return this.#charged.slice(one.pick % Math.max(1, this.#charged.length)).slice(0, 1);
      case 'reap':
        return [{ op: 'reap', scope: one.pick % 4, max: 1 + (one.pick % 3) }];
      case 'reset':
        return [{ op: 'reset', scope: one.pick % 4, periodStartMs: one.periodStartMs }];
      default: {
        const lease = this.granted[one.pick % Math.max(1, this.granted.length)];
        return lease === undefined ? [] : [{ ...one, lease }];
      }
    }
  }

  /** Of every scope what a request would hold there; one that is open is settled, renewed and undone later. */
  #charge({ tokens, requests, agoMs, isOpen, once }: Extract<Step, { op: 'charge' }>): LimitOp {
    const of = (scope: LimitScope, at: number) => {
      const flags = holdOf(scope, [], at);
      return { scope: at, flags: isOpen ? flags : flags & ~holds.lease };
    };
    const held = this.#scopes
      .slice(0, 3)
      .map(of)
      .filter(({ flags }) => flags > 0);
    const lease = { id: `c:${++this.#lastId}`, tokens, atMs: this.#nowMs - agoMs, holds: held };
    if (isOpen) this.granted.push(lease);
    const op = { op: 'charge', lease, requests: isOpen ? 1 : requests, once } as const;
    if (once && !isOpen) this.#charged.push(op);
    return op;
  }
}

export const isAdmitted = (reply: LimitReply): reply is Admitted =>
  typeof reply !== 'number' && reply.granted;
