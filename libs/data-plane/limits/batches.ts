/**
 * All calls of one turn of the event loop travel in one script call (on a Redis Cluster: one for each hash tag), sent
 * after the turn's sockets were read; nobody waits for an earlier batch. What Redis may not have heard of is kept and told
 * again when it answers.
 */
import type { Cluster, Redis } from 'ioredis';
import { transact, type LimitReply, type LimitScope } from '@llmproxy/limit-state';
import { inTurn } from '@llmproxy/turn';
import { Gathering, type AdmitCall, type LeaseCall, type OnAnswer } from './gathering.ts';

export interface BatchesOptions {
  readonly redis: Redis | Cluster;
  readonly leaseMs: number;
  /** A batch without an answer for this long has failed. */
  readonly deadlineMs: number;
  /** Whether Redis is to be asked at all. */
  readonly mayCall: () => boolean;
  /** Hears how each call went, and how many ops it carried. */
  readonly onCall: (ok: boolean, tookMs: number, ops: number) => void;
  /** Runs after each call that was answered. */
  readonly onAnswered: () => void;
  /** Hears of a settle that will not be told to Redis any more. */
  readonly onDropped: (call: LeaseCall) => void;
}

/** Bounds what one call blocks Redis for. */
const opsMax = 256;
const keptMax = 10_000;

export class Batches {
  readonly #options: BatchesOptions;
  readonly #isCluster: boolean;
  /** By hash tag on a cluster, else one. */
  readonly #gatherings = new Map<string, Gathering>();
  readonly #underWay = new Set<Promise<void>>();
  #kept: LeaseCall[] = [];
  /** Whether this turn will send what is gathered. */
  #isDue = false;

  constructor(options: BatchesOptions) {
    this.#options = options;
    this.#isCluster = options.redis.isCluster;
  }

  /** On a cluster all scopes of the call have one tag. */
  admit(call: AdmitCall, waiting: OnAnswer): void {
    const { scopes, alternatives } = call;
    this.#gathering(alternatives.length === 0 ? scopes : [...scopes, ...alternatives]).admit(call, waiting);
  }

  tell(call: LeaseCall): void {
    this.#gathering(call.held.scopes, call.held.lease.holds).add(call);
  }

  /** Tells Redis again what it may not have heard. */
  tellKept(): void {
    const kept = this.#kept;
    this.#kept = [];
    for (const call of kept) this.tell(call);
  }

  /** Sends what is gathered and waits for the answers, each at most until its deadline. */
  async drain(): Promise<void> {
    this.#sendAll();
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  #gathering(all: readonly LimitScope[], holds?: readonly { readonly scope: number }[]): Gathering {
    const scopes = holds === undefined ? all : holds.flatMap(({ scope }) => all[scope] ?? []);
    const name = this.#isCluster ? (scopes[0]?.tag ?? '') : '';
    let gathering = this.#gatherings.get(name);
    if (gathering !== undefined && (gathering.ops.length >= opsMax || !gathering.accepts(scopes))) {
      this.#send(gathering);
      gathering = undefined;
    }
    if (gathering === undefined) {
      gathering = new Gathering();
      this.#gatherings.set(name, gathering);
    }
    if (!this.#isDue) inTurn('write', () => this.#sendAll());
    this.#isDue = true;
    return gathering;
  }

  #sendAll(): void {
    this.#isDue = false;
    const ready = [...this.#gatherings.values()];
    this.#gatherings.clear();
    for (const gathering of ready) this.#send(gathering);
  }

  #send(gathering: Gathering): void {
    const { redis, mayCall, onCall } = this.#options;
    if (!mayCall()) return this.#failed(gathering, false);
    if (redis.status !== 'ready') {
      onCall(false, 0, gathering.ops.length);
      return this.#failed(gathering, false);
    }
    const call = this.#call(gathering);
    this.#underWay.add(call);
    void call.then(() => this.#underWay.delete(call));
  }

  /** Resolves when the call was answered or has failed. */
  #call(gathering: Gathering): Promise<void> {
    const { redis, leaseMs, deadlineMs, onCall } = this.#options;
    const { scopes, ops } = gathering;
    const startMs = performance.now();
    return new Promise((resolve) => {
      let isOver = false;
      const end = (replies: LimitReply[] | undefined): void => {
        if (isOver) return replies && this.#undoLate(gathering, replies);
        isOver = true;
        clearTimeout(timer);
        onCall(replies !== undefined, performance.now() - startMs, ops.length);
        if (replies === undefined) this.#failed(gathering, true);
        else this.#answered(gathering, replies);
        resolve();
      };
      // After a pause of the process the answer may lie in the socket unread: look there before giving up.
      const timer = setTimeout(() => setImmediate(() => end(undefined)), deadlineMs);
      transact(redis, { leaseMs, scopes, ops }).then(end, () => end(undefined));
    });
  }

  #answered(gathering: Gathering, replies: readonly LimitReply[]): void {
    gathering.answer(replies);
    this.tellKept();
    this.#options.onAnswered();
  }

  #failed({ entries }: Gathering, wasSent: boolean): void {
    for (const { waiting, call } of entries) {
      if (waiting !== undefined) waiting(undefined);
      else this.#keep(call.op === 'settle' && wasSent ? { ...call, again: true } : call);
    }
  }

  #keep(call: LeaseCall): void {
    if (call.op === 'renew') return; // the next one comes soon enough
    if (this.#kept.length < keptMax) this.#kept.push(call);
    else this.#options.onDropped(call);
  }

  /** Whoever asked was told long ago that Redis does not answer. */
  #undoLate({ scopes }: Gathering, replies: readonly LimitReply[]): void {
    for (const reply of replies) {
      if (typeof reply === 'object' && reply.granted) {
        this.tell({ op: 'undo', held: { scopes, lease: reply.lease } });
      }
    }
  }
}
