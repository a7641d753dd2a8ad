/**
 * Admission of requests that Redis did not answer, as the operator wants it, and what becomes of them: nothing granted here
 * is forgotten before Redis has heard of it, and nothing is counted in both places for longer than a call takes.
 */
import { holds, type Hold, type Lease, type LimitScope } from '@llmproxy/limit-state';
import { randomUUID } from 'node:crypto';
import type { Granted, Refused, Unavailable } from './core/admission.ts';
import { localShare, neverFits } from './core/local-share.ts';
import type { Batches } from './batches.ts';
import type { AdmitCall, Answer, Held, Late } from './gathering.ts';
import type { Known } from './known.ts';
import { chargedLease, LocalLimits } from './local-limits.ts';
import { OpenRequest, type LocalGrant, type Reservation } from './open-request.ts';
import { fromOne, toldOf } from './told.ts';

/** What Redis was asked for and did not answer in time. */
export interface Lost {
  readonly tags: readonly string[];
  readonly late: Late;
}

export interface Unanswered {
  /** What is still to be decided. */
  readonly call: AdmitCall;
  /** What of the request Redis has granted; with the index of the alternative, -1: none. */
  readonly kept: readonly Answer[];
  readonly alternative: number;
  /** Empty: Redis was not asked. */
  readonly lost: readonly Lost[];
}

export interface WithoutRedisOptions {
  readonly policy: 'local' | 'allow' | 'deny';
  /** One call has one tag only. */
  readonly isCluster: boolean;
  readonly known: Known;
  /** How many share the limits. */
  readonly workers: () => number;
  /** Requests under way that this worker holds in Redis, in a scope. */
  readonly openIn: (tag: string) => number;
  readonly monotonic: () => number;
  readonly batches: Pick<Batches, 'tell' | 'undo' | 'undoLate' | 'isFull'>;
  /** Redis holds this for the request from now on, which may have ended. */
  readonly takeOver: (request: OpenRequest, held: readonly Held[]) => void;
  /** There may be something to tell Redis. */
  readonly onUntold: () => void;
  /** There is no memory for what it would have to be told. */
  readonly onFull: () => void;
}

/** A refusal that says nothing of the request itself: Redis may be back by then. */
const soonMs = 1000;

export class WithoutRedis {
  readonly #options: WithoutRedisOptions;
  readonly #local: LocalLimits;
  /** With leases that Redis has not heard of. */
  readonly #own = new Set<LocalGrant>();

  constructor(options: WithoutRedisOptions) {
    this.#options = options;
    this.#local = new LocalLimits(() => options.known.redisNow());
  }

  admit(asked: Unanswered): Granted<Reservation> | Refused | Unavailable {
    switch (this.#options.policy) {
      case 'deny':
        this.#giveBack(asked);
        return { outcome: 'unavailable' };
      case 'allow':
        return this.#unlimited(asked);
      case 'local':
        return this.#locally(asked);
      default:
        return this.#options.policy satisfies never;
    }
  }

  /** The end of what was granted here; where Redis may hold it, the end is told there as soon as that is known. */
  settle(grant: LocalGrant): void {
    if (grant.state !== 'own') return;
    grant.state = 'over';
    this.#own.delete(grant);
    const { owing, leased, request } = grant;
    this.#local.settle(leased, request.used ?? 0);
    if (owing !== undefined && (request.used ?? 0) > 0) this.#owe(owing, request.used ?? 0);
    this.#options.onUntold();
  }

  /** Use that Redis has to be told to charge to the quota of the scope. */
  #owe(scope: LimitScope, tokens: number): void {
    const atMs = this.#options.known.redisNow();
    const charge = { scope, flags: holds.quota, atMs, requests: 0, tokens };
    if (this.#options.batches.isFull || !this.#local.charge(charge)) this.#options.onFull();
  }

  /** Tells Redis all that it has not heard. */
  tell(): void {
    if (this.#own.size === 0 && this.#local.charges.isEmpty) return;
    const { batches, takeOver } = this.#options;
    for (const grant of this.#own) {
      const { leased, request } = grant;
      grant.state = 'telling';
      const onHeard = (): void => {
        grant.state = 'over';
        this.#local.forget(leased);
        takeOver(request, [leased]);
      };
      batches.tell({ op: 'charge', held: leased, requests: 1, once: false, onHeard });
    }
    this.#own.clear();
    for (const charge of this.#local.charges.take()) {
      const held = { scopes: [charge.scope], lease: chargedLease(randomUUID(), charge) };
      batches.tell({
        op: 'charge',
        held,
        requests: charge.requests,
        // What is told twice of a minute is over with it.
        once: (charge.flags & holds.quota) !== 0,
        onHeard: () => this.#local.heard(charge),
      });
    }
  }

  #unlimited(asked: Unanswered): Granted<Reservation> {
    const { call } = asked;
    const request = this.#requestFor(asked);
    const quota = call.scopes.find((scope) => scope.quota);
    const lease = { id: call.id, tokens: 0, atMs: 0, holds: [] };
    const nothing: Held = { scopes: [], lease };
    const grant = (owing: LimitScope | undefined): LocalGrant => ({
      request,
      state: 'own',
      leased: nothing,
      counted: nothing,
      owing,
    });
    const grants = asked.lost.map(({ tags }) => grant(quota && tags.includes(quota.tag) ? quota : undefined));
    request.locals = grants.some(({ owing }) => owing) ? grants : [...grants, grant(quota)];
    for (const [at, { late }] of asked.lost.entries()) this.#await(grants[at] as LocalGrant, late);
    const alternative = call.alternatives.length > 0 ? 0 : asked.alternative;
    const told = { requests: null, tokens: null, shadowRefusals: [] };
    return { outcome: 'granted', by: 'none', alternative, handle: request, ...told };
  }

  #locally(asked: Unanswered): Granted<Reservation> | Refused | Unavailable {
    const { call, kept } = asked;
    const isFull = this.#options.batches.isFull;
    const answer = isFull ? undefined : this.#local.admit(call, (scope) => this.#share(scope));
    if (answer === undefined) {
      this.#options.onFull();
      this.#giveBack(asked);
      return { outcome: 'unavailable' };
    }
    const here = fromOne(call, answer);
    const alternative = call.alternatives.length > 0 ? here.alternative : asked.alternative;
    const told = toldOf({ answers: [...kept, answer], refused: here.refused, alternative });
    if (told.outcome === 'refused' || !answer.reply.granted) {
      this.#giveBack(asked);
      return { ...(told as Refused), retryAfterMs: this.#retryAfterMs(call, answer) };
    }
    const request = this.#requestFor(asked);
    this.#place(request, asked, answer.reply.lease);
    return { ...told, by: 'local', handle: request };
  }

  /** What was granted here, divided as Redis was asked for it. */
  #place(request: OpenRequest, { call, lost }: Unanswered, lease: Lease): void {
    const scopes = [...call.scopes, ...call.alternatives];
    const parts = this.#options.isCluster ? lease.holds.map((hold) => [hold]) : [lease.holds];
    const grants = parts.map((part) => grantOf(request, { scopes, lease: { ...lease, holds: part } }));
    request.locals = grants;
    const awaited = grants.map((grant, at) => {
      const tags = parts[at]?.map(({ scope }) => scopes[scope]?.tag ?? '') ?? [];
      const asked = lost.find((one) => tags.some((tag) => one.tags.includes(tag)));
      if (asked) this.#await(grant, asked.late);
      else this.#keep(grant);
      return asked;
    });
    for (const other of lost) if (!awaited.includes(other)) this.#options.batches.undoLate(other.late);
  }

  #share(scope: LimitScope): LimitScope {
    const { known, workers, openIn, monotonic } = this.#options;
    const { tag } = scope;
    const open = scope.limits?.maxConcurrent === undefined ? 0 : openIn(tag);
    return localShare(scope, { workers: workers(), known: known.of(tag), open, nowMs: monotonic() });
  }

  #retryAfterMs(call: AdmitCall, { reply }: Answer): number {
    if (reply.granted) return 0;
    if (reply.retryAfterMs >= 0) return reply.retryAfterMs;
    const scope = [...call.scopes, ...call.alternatives][reply.scope];
    if (scope === undefined) return soonMs;
    const isFinal = neverFits(scope, reply.limit, call.tokens, this.#options.known.of(scope.tag));
    return isFinal ? -1 : soonMs;
  }

  #requestFor({ call, kept }: Unanswered): OpenRequest {
    const request = new OpenRequest(call.id);
    this.#options.takeOver(request, kept.flatMap(leasesOf));
    return request;
  }

  #await(grant: LocalGrant, late: Late): void {
    grant.state = 'unknown';
    void late.then((answer) => {
      if (answer?.reply.granted !== true) return this.#keep(grant);
      grant.state = 'over';
      for (const held of [grant.leased, grant.counted]) this.#local.forget(held);
      this.#options.takeOver(grant.request, leasesOf(answer));
    });
  }

  /** Redis has not granted it. */
  #keep(grant: LocalGrant): void {
    const { leased, counted, request } = grant;
    grant.state = 'own';
    for (const { scope: at, flags } of counted.lease.holds) {
      const scope = counted.scopes[at];
      if (scope) this.#local.charges.add({ scope, flags, atMs: counted.lease.atMs, requests: 1, tokens: 0 });
    }
    if (request.isSettled) return this.settle(grant);
    if (leased.lease.holds.length > 0) this.#own.add(grant);
    this.#options.onUntold();
  }

  /** The request is not served. */
  #giveBack({ kept, lost }: Unanswered): void {
    const { batches } = this.#options;
    for (const answer of kept) batches.undo(answer);
    for (const { late } of lost) batches.undoLate(late);
  }
}

function grantOf(request: OpenRequest, { scopes, lease }: Held): LocalGrant {
  const isLeased = ({ flags }: Hold): boolean => (flags & holds.lease) !== 0;
  const of = (some: readonly Hold[]): Held => ({ scopes, lease: { ...lease, holds: some } });
  const leased = of(lease.holds.filter(isLeased));
  const counted = of(lease.holds.filter((hold) => !isLeased(hold)));
  return { request, state: 'own', leased, counted, owing: undefined };
}

/** Only what has to be told the end of the request: a count of requests has not. */
export function leasesOf({ reply, scopes }: Answer): Held[] {
  if (!reply.granted) return [];
  const leased = reply.lease.holds.filter(({ flags }) => (flags & holds.lease) !== 0);
  return leased.length === 0 ? [] : [{ scopes, lease: { ...reply.lease, holds: leased } }];
}
