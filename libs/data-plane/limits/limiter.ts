/**
 * Reserves before a request is served and settles after it: all scopes or none, by one call to Redis shared with every
 * other request of the same turn of the event loop. While Redis does not answer, the policy of the operator decides.
 */
import type { Cluster, Redis } from 'ioredis';
import { holds, leaseMs, type LimitScope } from '@llmproxy/limit-state';
import { systemClock, type Clock } from '@llmproxy/time';
import { Batches } from './batches.ts';
import type { Granted, Refused, Unavailable } from './core/admission.ts';
import { Gate } from './gate.ts';
import type { AdmitCall, Answer, Held } from './gathering.ts';
import { LocalLimits, type LocalHold } from './local-limits.ts';
import { OpenRequests } from './open-requests.ts';
import { Quotas } from './quotas.ts';
import { admitScattered } from './scattered.ts';
import { TagsInUse } from './tags-in-use.ts';
import { fromOne, toldOf, type Gathered } from './told.ts';
import { Workers } from './workers.ts';

export interface LimitRequest {
  /** Unique for each request. */
  readonly id: string;
  /** Estimate; an integer ≥ 0. */
  readonly tokens: number;
  /** All of these have to have room. */
  readonly scopes: readonly LimitScope[];
  /** One of these has to: the first that does is taken. Left out or empty: none is needed. */
  readonly alternatives?: readonly LimitScope[] | undefined;
}

/** What a granted request holds. Opaque; to be settled exactly once. */
export interface Reservation {
  readonly id: string;
}

export type Admission = Granted<Reservation> | Refused | Unavailable;

export interface LimiterOptions {
  /** Of a connection that rejects commands at once while it is down. */
  readonly redis: Redis | Cluster;
  /** Unique among all workers of all gateways, and new for each start. */
  readonly worker: string;
  /** While Redis does not answer: limits shared out among workers, nothing limited, or nothing passed. */
  readonly onFailure: 'local' | 'allow' | 'deny';
  /** How long a request waits for Redis; default: 100 ms. */
  readonly deadlineMs?: number | undefined;
  /** Workers that share the limits at least, also while Redis has not said how many there are; default: 1. */
  readonly workersAtLeast?: number | undefined;
  readonly clock?: Clock | undefined;
  readonly log?: ((level: 'info' | 'warn', message: string) => void) | undefined;
  /** Hears of each call to Redis: whether it was answered, how long that took and how many ops it carried. */
  readonly onCall?: ((ok: boolean, tookMs: number, ops: number) => void) | undefined;
}

export interface Limiter {
  /** Never rejects. */
  admit(request: LimitRequest): Promise<Admission>;
  /**
   * The end of an admitted request: what it used replaces its estimate. Not waited for; a second settle does nothing.
   * @param used null: unknown; nothing is charged, all of the estimate is given back
   */
  settle(reservation: Reservation, used: number | null): void;
  /** False while the circuit around Redis is open. */
  isRedisAsked(): boolean;
  /** Tells Redis what it has not heard yet. Takes a deadline or two at most. */
  close(): Promise<void>;
}

const renewEveryMs = 250;
const signEveryMs = 5000;
const firstSignMsMax = 1000;
const noLeases: readonly Held[] = [];

/** Resolves when Redis has answered once, or has not within a second. */
export async function openLimiter(options: LimiterOptions): Promise<Limiter> {
  const limiter = new RedisLimiter(options);
  await limiter.open();
  return limiter;
}

class OpenRequest implements Reservation {
  readonly id: string;
  /** What Redis knows of it and has to be told the end of. */
  held = noLeases;
  local: LocalHold | undefined;
  /** The scope whose quota Redis could not reserve for it. */
  owing: LimitScope | undefined;
  renewedMs = 0;
  isSettled = false;

  constructor(id: string) {
    this.id = id;
  }
}

class RedisLimiter implements Limiter {
  readonly #options: LimiterOptions;
  readonly #clock: Clock;
  readonly #workers: Workers;
  readonly #gate: Gate;
  readonly #batches: Batches;
  readonly #local: LocalLimits;
  readonly #tags: TagsInUse;
  readonly #quotas = new Quotas();
  readonly #open = new OpenRequests<OpenRequest>();
  #timers: NodeJS.Timeout[] = [];

  constructor(options: LimiterOptions) {
    const { redis, onCall, deadlineMs = 100, clock = systemClock } = options;
    this.#options = options;
    this.#clock = clock;
    this.#workers = new Workers({ ...options, deadlineMs });
    this.#local = new LocalLimits(clock);
    this.#tags = new TagsInUse(redis, clock);
    this.#gate = new Gate({
      clock,
      probe: () => this.#workers.sign(),
      onChange: (away) => this.#onChange(away),
    });
    this.#batches = new Batches({
      redis,
      leaseMs,
      deadlineMs,
      mayCall: () => this.#gate.mayCall(),
      onCall: (ok, tookMs, ops) => {
        this.#gate.tell(ok);
        onCall?.(ok, tookMs, ops);
      },
      onAnswered: () => this.#payDebts(),
      onDropped: (call) => this.#quotas.oweFor(call),
    });
  }

  async open(): Promise<void> {
    const every = (ms: number, run: () => void) => setInterval(run, ms).unref();
    this.#timers = [every(renewEveryMs, () => this.#renew()), every(signEveryMs, () => this.#sign())];
    await this.#workers.sign(firstSignMsMax).catch(() => undefined);
  }

  admit(request: LimitRequest): Promise<Admission> {
    const call = { ...request, alternatives: request.alternatives ?? [] };
    if (call.scopes.length + call.alternatives.length === 0) return Promise.resolve(unlimited(call, 'redis'));
    if (!this.#gate.mayCall()) return Promise.resolve(this.#withoutRedis(call));
    if (this.#options.redis.isCluster) return this.#admitScattered(call);
    return new Promise((resolve) =>
      this.#batches.admit(call, (answer) =>
        resolve(answer ? this.#granted(call, fromOne(call, answer)) : this.#withoutRedis(call)),
      ),
    );
  }

  settle(reservation: Reservation, used: number | null): void {
    if (!(reservation instanceof OpenRequest) || reservation.isSettled) return;
    reservation.isSettled = true;
    const { held, local, owing } = reservation;
    this.#open.remove(reservation);
    for (const one of held) this.#batches.tell({ op: 'settle', held: one, used, again: false });
    if (local) this.#local.settle(local, used);
    if (owing && used !== null && used > 0) this.#quotas.owe(owing, used);
  }

  isRedisAsked(): boolean {
    return this.#gate.mayCall();
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#batches.tellKept();
    this.#payDebts();
    await this.#batches.drain();
    this.#gate.close();
    await this.#workers.leave();
  }

  async #admitScattered(call: AdmitCall): Promise<Admission> {
    const gathered = await admitScattered(this.#batches, call);
    return gathered ? this.#granted(call, gathered) : this.#withoutRedis(call);
  }

  /** What Redis said, or refused. */
  #granted({ id }: AdmitCall, gathered: Gathered): Admission {
    const told = toldOf(gathered);
    if (told.outcome === 'refused') return told;
    const handle = new OpenRequest(id);
    handle.held = gathered.answers.flatMap(leasesOf);
    if (handle.held.length > 0) this.#open.add(handle, this.#clock.monotonic());
    for (const { scopes, lease } of handle.held) {
      for (const { scope } of lease.holds) this.#tags.note(scopes[scope]?.tag ?? '');
    }
    for (const answer of gathered.answers) this.#quotas.note(answer);
    return { ...told, by: 'redis', handle };
  }

  #withoutRedis(call: AdmitCall): Admission {
    switch (this.#options.onFailure) {
      case 'deny':
        return { outcome: 'unavailable' };
      case 'allow':
        return unlimited(call, 'none');
      case 'local':
        return this.#locally(call);
      default:
        return this.#options.onFailure satisfies never;
    }
  }

  #locally(call: AdmitCall): Admission {
    const workers = Math.max(this.#options.workersAtLeast ?? 1, this.#workers.alive);
    const { answer, store } = this.#local.admit(call, workers, (tag) => this.#quotas.known(tag));
    const told = toldOf(fromOne(call, answer));
    if (told.outcome === 'refused' || !answer.reply.granted) return told as Refused;
    const handle = new OpenRequest(call.id);
    handle.local = { scopes: answer.scopes, lease: answer.reply.lease, store };
    handle.owing = withQuota(call);
    return { ...told, by: 'local', handle };
  }

  #payDebts(): void {
    for (const debt of this.#quotas.takeDebts()) this.#batches.tell(debt);
  }

  #renew(): void {
    if (!this.#gate.mayCall()) return;
    for (const { held } of this.#open.takeDue(this.#clock.monotonic())) {
      for (const one of held) this.#batches.tell({ op: 'renew', held: one });
    }
  }

  #sign(): void {
    this.#tags.tick();
    if (this.#gate.mayCall()) this.#workers.sign().catch(() => undefined);
  }

  #onChange(isAway: boolean): void {
    const { log, onFailure } = this.#options;
    if (isAway) return log?.('warn', `Redis does not answer; on_redis_failure: ${onFailure}`);
    log?.('info', 'Redis answers again; limits are exact');
    this.#local.forget();
    this.#batches.tellKept();
    this.#payDebts();
  }
}

function unlimited(call: AdmitCall, by: 'redis' | 'none'): Granted<Reservation> {
  const handle = new OpenRequest(call.id);
  if (by === 'none') handle.owing = withQuota(call);
  const alternative = call.alternatives.length > 0 ? 0 : -1;
  return { outcome: 'granted', by, alternative, handle, requests: null, tokens: null, shadowRefusals: [] };
}

const withQuota = ({ scopes }: AdmitCall): LimitScope | undefined => scopes.find(({ quota }) => quota);

/** Only what has to be told the end of the request: a count of requests has not. */
function leasesOf({ reply, scopes }: Answer): Held[] {
  if (!reply.granted) return [];
  const leased = reply.lease.holds.filter(({ flags }) => (flags & holds.lease) !== 0);
  return leased.length === 0 ? [] : [{ scopes, lease: { ...reply.lease, holds: leased } }];
}
