/** Ops that will travel in one call, and whoever waits for their replies. */
import type {
  Admitted,
  Lease,
  LimitOp,
  LimitReply,
  LimitScope,
  Refused,
  Transacted,
} from '@llmproxy/limit-state';

/** An admitted request as Redis knows it. */
export interface Held {
  /** What the indexes in `lease` mean. */
  readonly scopes: readonly LimitScope[];
  readonly lease: Lease;
}

export interface Answer {
  readonly reply: Admitted | Refused;
  /** What the indexes in `reply` mean. */
  readonly scopes: readonly LimitScope[];
}

export interface AdmitCall {
  /** Unique for each request. */
  readonly id: string;
  /** Estimate; an integer ≥ 0. */
  readonly tokens: number;
  readonly scopes: readonly LimitScope[];
  readonly alternatives: readonly LimitScope[];
}

/** What becomes of a lease, and what was admitted elsewhere. */
export type LeaseCall =
  | { readonly op: 'settle'; readonly held: Held; readonly used: number | null; readonly again: boolean }
  | { readonly op: 'undo' | 'renew'; readonly held: Held }
  | {
      readonly op: 'charge';
      readonly held: Held;
      readonly requests: number;
      /** Whether its id is remembered; leases are by their own names. */
      readonly once: boolean;
      /** Redis has heard of it. */
      readonly onHeard: () => void;
    };

/**
 * What Redis says of a request that was not waited for any longer, when it is known for good; undefined: Redis has not
 * run it, or whether it has cannot be found out any more.
 */
export type Late = Promise<Answer | undefined>;

/** Where there is no answer in time, what comes of it. */
export type OnAnswer = (answer: Answer | undefined, late: Late) => void;

type Entry =
  | { readonly waiting: OnAnswer; readonly call?: undefined }
  | { readonly call: LeaseCall; readonly waiting?: undefined };

export class Gathering {
  readonly scopes: LimitScope[] = [];
  readonly ops: LimitOp[] = [];
  readonly entries: Entry[] = [];
  readonly #indexes = new Map<string, number>();

  /** Whether one tag still means one set of limits; around a change of the config it may not. */
  accepts(scopes: readonly LimitScope[]): boolean {
    for (const scope of scopes) {
      const index = this.#indexes.get(scope.tag);
      if (index !== undefined && !areSame(this.scopes[index], scope)) return false;
    }
    return true;
  }

  admit({ id, tokens, scopes, alternatives }: AdmitCall, waiting: OnAnswer): void {
    const op = { op: 'admit', id, tokens, scopes: this.#place(scopes) } as const;
    this.ops.push(alternatives.length === 0 ? op : { ...op, alternatives: this.#place(alternatives) });
    this.entries.push({ waiting });
  }

  add(call: LeaseCall): void {
    const { scopes, lease } = call.held;
    const holds = lease.holds.map(({ scope, flags }) => ({ scope: this.#index(scopes[scope]), flags }));
    const placed = { id: lease.id, tokens: lease.tokens, atMs: lease.atMs, holds };
    this.ops.push(opOf(call, placed));
    this.entries.push({ call });
  }

  /** Gives whoever waits for an admission its answer. */
  answer({ replies }: Transacted): void {
    for (const [at, { waiting }] of this.entries.entries()) waiting?.(this.#answerAt(replies[at]), noLate);
  }

  /** What is only told; whoever waits for an admission hears that Redis is not asked. */
  withoutAdmissions(): Gathering {
    const rest = new Gathering();
    for (const { call, waiting } of this.entries) {
      if (call) rest.add(call);
      else waiting(undefined, noLate);
    }
    return rest;
  }

  /** Tells whoever waits that there is no answer in time. */
  leave(late: Promise<Transacted | undefined>): void {
    for (const [at, { waiting }] of this.entries.entries()) {
      waiting?.(
        undefined,
        late.then((done) => this.#answerAt(done?.replies[at])),
      );
    }
  }

  #answerAt(reply: LimitReply | undefined): Answer | undefined {
    return typeof reply === 'object' ? { reply, scopes: this.scopes } : undefined;
  }

  #place(scopes: readonly LimitScope[]): number[] {
    return scopes.map((scope) => this.#index(scope));
  }

  #index(scope: LimitScope | undefined): number {
    if (scope === undefined) throw new RangeError('a lease speaks of a scope that its request did not have');
    let index = this.#indexes.get(scope.tag);
    if (index === undefined) {
      index = this.scopes.push(scope) - 1;
      this.#indexes.set(scope.tag, index);
    }
    return index;
  }
}

const noLate: Late = Promise.resolve(undefined);

function opOf(call: LeaseCall, lease: Lease): LimitOp {
  switch (call.op) {
    case 'settle':
      return { op: 'settle', lease, used: call.used, again: call.again };
    case 'charge':
      return { op: 'charge', lease, requests: call.requests, once: call.once };
    default:
      return { op: call.op, lease };
  }
}

function areSame(a: LimitScope | undefined, b: LimitScope): boolean {
  if (a === b) return true;
  return (
    a !== undefined &&
    (a.shadow ?? false) === (b.shadow ?? false) &&
    (a.limits === b.limits || sameText(a.limits, b.limits)) &&
    (a.quota === b.quota || sameText(a.quota, b.quota))
  );
}

const sameText = (a: object | undefined, b: object | undefined): boolean =>
  JSON.stringify(a) === JSON.stringify(b);
