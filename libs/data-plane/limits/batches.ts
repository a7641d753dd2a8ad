/**
 * All calls of one turn of the event loop travel in one script call (on a Redis Cluster: one for each hash tag), sent
 * after the turn's sockets were read; nobody waits for an earlier batch. What becomes of a call is known when its answer
 * comes, however late, or its connection breaks: what Redis may not have heard of then is told again.
 */
import { leaseMs, type LimitScope, type Transacted } from '@llmproxy/limit-state';
import { inTurn } from '@llmproxy/turn';
import {
  Gathering,
  type AdmitCall,
  type Answer,
  type Late,
  type LeaseCall,
  type OnAnswer,
} from './gathering.ts';
import type { LimitServer } from './limit-server.ts';

export interface BatchesOptions {
  readonly server: LimitServer;
  /** A batch without an answer for this long has failed. */
  readonly deadlineMs: () => number;
  /** Whether Redis is to be asked at all. */
  readonly mayCall: () => boolean;
  readonly onCall: OnCall;
  /** Whether what Redis does not answer is counted here: then nothing is asked behind it. */
  readonly countsAlone: boolean;
  /** Runs after each call that was answered, also too late, and before those who asked hear of it. */
  readonly onAnswered: (scopes: readonly LimitScope[], done: Transacted) => void;
}

export interface EndedCall {
  /** Undefined: it was answered in time; else what was the matter, without a secret. */
  readonly failure: string | undefined;
  readonly tookMs: number;
  /** What it carried. */
  readonly ops: number;
  /** False where it was not waited for, or not even sent, because another one failed. */
  readonly isFirst: boolean;
}

interface UnderWay {
  /** Hash tag on a cluster, else empty. */
  readonly name: string;
  /** Resolves when it was answered or has failed. */
  readonly ended: Promise<void>;
  readonly leave: (failure: string) => void;
}

export interface OnCall {
  ended(call: EndedCall): void;
  /** An answer to a call that had failed by its deadline. */
  answeredLate(tookMs: number): void;
}

/** Bounds what one call blocks Redis for. */
const opsMax = 256;
/** Beyond it nothing is granted that would have to be told too. Some 500 bytes each. */
const keptMax = 100_000;

export class Batches {
  readonly #options: BatchesOptions;
  readonly #isCluster: boolean;
  /** By hash tag on a cluster, else one. */
  readonly #gatherings = new Map<string, Gathering>();
  /** What is waited for. */
  readonly #underWay = new Set<UnderWay>();
  /** What is not waited for any more, and may still be answered. */
  readonly #stalled = new Set<UnderWay>();
  /** By the same names: on a cluster the answer about one tag says nothing of the server of another. */
  readonly #kept = new Map<string, LeaseCall[]>();
  #keptCount = 0;
  /** Whether this turn will send what is gathered. */
  #isDue = false;

  constructor(options: BatchesOptions) {
    this.#options = options;
    this.#isCluster = options.server.isCluster;
  }

  /** On a cluster all scopes of the call have one tag. */
  admit(call: AdmitCall, waiting: OnAnswer): void {
    const { scopes, alternatives } = call;
    const all = alternatives.length === 0 ? scopes : [...scopes, ...alternatives];
    // Redis has to hear first of what was admitted without it.
    if (this.#keptCount > 0) this.tellKept(this.#nameOf(all));
    this.#gathering(all).admit(call, waiting);
  }

  tell(call: LeaseCall): void {
    this.#gathering(call.held.scopes, call.held.lease.holds).add(call);
  }

  /** What was granted is not wanted after all. */
  undo({ reply, scopes }: Answer): void {
    if (!reply.granted || reply.lease.holds.length === 0) return;
    this.tell({ op: 'undo', held: { scopes, lease: reply.lease } });
  }

  /** The same of what may have been granted and is not known yet. */
  undoLate(late: Late): void {
    void late.then((answer) => answer && this.undo(answer));
  }

  /** Whether as much waits to be told as there is memory for. What would have to be told too is not to be granted. */
  get isFull(): boolean {
    return this.#keptCount >= keptMax;
  }

  /**
   * Tells Redis again what it may not have heard, before all that is asked from now on; nothing without a connection.
   * @param name hash tag on a cluster, else empty; undefined: of all
   */
  tellKept(name?: string): void {
    if (this.#keptCount === 0 || !this.#options.server.isReady()) return;
    for (const one of name === undefined ? [...this.#kept.keys()] : [name]) {
      const kept = this.#kept.get(one) ?? [];
      this.#kept.delete(one);
      this.#keptCount -= kept.length;
      for (const call of kept) this.tell(call);
    }
  }

  /** Sends what is gathered and waits for the answers, each at most until its deadline. */
  async drain(): Promise<void> {
    this.#sendAll();
    while (this.#underWay.size > 0) await Promise.race([...this.#underWay].map(({ ended }) => ended));
  }

  /**
   * Waits for none of the calls under way any more, or for none about one tag: a connection answers in order, so where one
   * call has no answer those behind it have none either, and who decides without Redis must not be surprised by it.
   */
  leaveAll(failure: string, name?: string): void {
    for (const call of this.#underWay) if (name === undefined || call.name === name) call.leave(failure);
  }

  /** Whether an answer is overdue behind which nothing is asked. */
  get isStalled(): boolean {
    return this.#stalled.size > 0 && this.#options.countsAlone;
  }

  #isStalled(name: string): boolean {
    return this.isStalled && [...this.#stalled].some((call) => call.name === name);
  }

  /** Redis would grant these without knowing what was granted since, and would answer no sooner than it does before them. */
  #heldBack(gathered: Gathering): Gathering {
    const rest = gathered.withoutAdmissions();
    const ops = gathered.ops.length - rest.ops.length;
    const failure = 'an answer is overdue';
    if (ops > 0) this.#options.onCall.ended({ failure, tookMs: 0, ops, isFirst: false });
    return rest;
  }

  #gathering(all: readonly LimitScope[], holds?: readonly { readonly scope: number }[]): Gathering {
    const scopes = holds === undefined ? all : holds.flatMap(({ scope }) => all[scope] ?? []);
    const name = this.#nameOf(scopes);
    let gathering = this.#gatherings.get(name);
    if (gathering !== undefined && (gathering.ops.length >= opsMax || !gathering.accepts(scopes))) {
      this.#send(name, gathering);
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

  #nameOf(scopes: readonly LimitScope[]): string {
    return this.#isCluster ? (scopes[0]?.tag ?? '') : '';
  }

  #sendAll(): void {
    this.#isDue = false;
    const ready = [...this.#gatherings];
    this.#gatherings.clear();
    for (const [name, gathering] of ready) this.#send(name, gathering);
  }

  #send(name: string, gathered: Gathering): void {
    const { server, mayCall, onCall } = this.#options;
    if (!mayCall()) return this.#notSent(name, gathered);
    const gathering = this.#isStalled(name) ? this.#heldBack(gathered) : gathered;
    if (gathering.ops.length === 0) return;
    if (!server.isReady()) {
      const failure = 'no connection';
      onCall.ended({ failure, tookMs: 0, ops: gathering.ops.length, isFirst: true });
      this.leaveAll(failure, name);
      return this.#notSent(name, gathering);
    }
    this.#call(name, gathering);
  }

  #call(name: string, gathering: Gathering): void {
    const { server, deadlineMs, onCall } = this.#options;
    const { scopes, ops } = gathering;
    const startMs = performance.now();
    const limitMs = deadlineMs();
    let isOver = false;
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const sent = server.transact({ leaseMs, scopes, ops });
    /** Only the first one counts. */
    const end = (failure: string | undefined, isFirst = true): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      this.#underWay.delete(call);
      onCall.ended({ failure, tookMs: performance.now() - startMs, ops: ops.length, isFirst });
      if (failure !== undefined) gathering.leave(sent.catch(() => undefined));
      resolve();
    };
    const leave = (failure: string, isFirst = false): void => {
      this.#stalled.add(call);
      end(failure, isFirst);
    };
    const giveUp = (): void => {
      const failure = `no answer within ${Math.round(limitMs)} ms`;
      leave(failure, true);
      this.leaveAll(failure, name);
    };
    sent.then(
      (transacted) => {
        this.#stalled.delete(call);
        if (isOver) onCall.answeredLate(performance.now() - startMs);
        const isInTime = !isOver;
        end(undefined);
        this.#answered(name, gathering, { done: transacted, isInTime });
      },
      (error: unknown) => {
        this.#stalled.delete(call);
        end(error instanceof Error ? error.message : String(error));
        this.#lost(name, gathering);
      },
    );
    const call: UnderWay = { name, ended, leave };
    this.#underWay.add(call);
    // After a pause of the process the answer may lie in the socket unread: look there before giving up.
    const timer = setTimeout(() => setImmediate(() => isOver || giveUp()), limitMs);
  }

  #answered(
    name: string,
    gathering: Gathering,
    { done, isInTime }: { done: Transacted; isInTime: boolean },
  ): void {
    this.#options.onAnswered(gathering.scopes, done);
    for (const { call } of gathering.entries) if (call?.op === 'charge') call.onHeard();
    if (isInTime) gathering.answer(done);
    this.tellKept(name);
  }

  #notSent(name: string, gathering: Gathering): void {
    gathering.leave(Promise.resolve(undefined));
    for (const { call } of gathering.entries) if (call) this.#keep(name, call);
  }

  /** Redis may have run it or not. */
  #lost(name: string, { entries }: Gathering): void {
    for (const { call } of entries) {
      if (call) this.#keep(name, call.op === 'settle' ? { ...call, again: true } : call);
    }
  }

  #keep(name: string, call: LeaseCall): void {
    if (call.op === 'renew') return; // the next one comes soon enough
    const kept = this.#kept.get(name);
    if (kept === undefined) this.#kept.set(name, [call]);
    else kept.push(call);
    this.#keptCount += 1;
  }
}
