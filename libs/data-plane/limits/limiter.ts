/**
 * Reserves before a request is served and settles after it: all scopes or none, by one call to Redis shared with every
 * other request of the same turn of the event loop. While Redis does not answer, the policy of the operator decides.
 */
import type { Cluster, Redis } from 'ioredis';
import type { LimitScope, Transacted } from '@llmproxy/limit-state';
import type { Condition } from '@llmproxy/telemetry';
import { atMost, systemClock, type Clock } from '@llmproxy/time';
import { Batches, type EndedCall } from './batches.ts';
import { Calls } from './calls.ts';
import type { Granted, Refused, Unavailable } from './core/admission.ts';
import { Gate } from './gate.ts';
import type { AdmitCall, Held } from './gathering.ts';
import { Known } from './known.ts';
import { onRedis, type LimitServer } from './limit-server.ts';
import { OpenRequest, type Reservation } from './open-request.ts';
import { OpenRequests } from './open-requests.ts';
import { admitScattered } from './scattered.ts';
import { TagsInUse } from './tags-in-use.ts';
import { fromOne, toldOf, type Gathered } from './told.ts';
import { leasesOf, WithoutRedis } from './without-redis.ts';
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

export type Admission = Granted<Reservation> | Refused | Unavailable;

export interface LimiterChoice {
  /** Unique among all workers of all gateways, and new for each start. */
  readonly worker: string;
  /** While Redis does not answer: limits shared out among workers, nothing limited, or nothing passed. */
  readonly onFailure: 'local' | 'allow' | 'deny';
  /**
   * How long a request waits for Redis at least; longer, up to a second, where answers take longer. Default: 100 ms.
   */
  readonly deadlineMs?: number | undefined;
  /** Workers that share the limits at least, also while Redis has not said how many there are; default: 1. */
  readonly workersAtLeast?: number | undefined;
  readonly clock?: Clock | undefined;
  readonly log?: ((level: 'info' | 'warn', message: string) => void) | undefined;
  /** Hears of each call to Redis: whether it was answered in time, how long that took and how many ops it carried. */
  readonly onCall?: ((ok: boolean, tookMs: number, ops: number) => void) | undefined;
}

export interface LimiterOptions extends LimiterChoice {
  /** Of a connection that rejects commands at once while it is down. */
  readonly redis: Redis | Cluster;
}

export interface Limiter {
  /** Never rejects. */
  admit(request: LimitRequest): Promise<Admission>;
  /**
   * The end of an admitted request: what it used replaces its estimate. Not waited for; a second settle does nothing.
   * @param used null: unknown; nothing is charged, all of the estimate is given back
   */
  settle(reservation: Reservation, used: number | null): void;
  /** False while the circuit around Redis is open, or an answer is overdue behind which nothing is asked. */
  isRedisAsked(): boolean;
  /** How the calls to Redis fare: failing from a share of them on, well when none has failed for a while. */
  readonly condition: Pick<Condition, 'isWell' | 'found'>;
  /** Tells Redis what it has not heard yet. Takes a deadline or two at most. */
  close(): Promise<void>;
}

const renewEveryMs = 250;
/** Who does not know of the others yet would take their share of the limits for its own. */
const signEveryMs = 1000;
const firstAnswerMsMax = 1000;

/** Resolves when Redis has answered once, or has not within a second or `deadlineMs`, if that is more. */
export function openLimiter({ redis, ...choice }: LimiterOptions): Promise<Limiter> {
  return openLimiterOn(onRedis(redis), choice);
}

export async function openLimiterOn(server: LimitServer, choice: LimiterChoice): Promise<Limiter> {
  const limiter = new ServerLimiter(server, choice);
  await limiter.open();
  return limiter;
}

class ServerLimiter implements Limiter {
  readonly #server: LimitServer;
  readonly #choice: LimiterChoice;
  readonly #clock: Clock;
  readonly #calls: Calls;
  readonly #known: Known;
  readonly #workers: Workers;
  readonly #gate: Gate;
  readonly #batches: Batches;
  readonly #withoutRedis: WithoutRedis;
  readonly #tags: TagsInUse;
  readonly #open = new OpenRequests<OpenRequest>();
  #timers: NodeJS.Timeout[] = [];
  #isFullLogged = false;

  constructor(server: LimitServer, choice: LimiterChoice) {
    const { worker, deadlineMs: leastMs = 100, clock = systemClock } = choice;
    this.#server = server;
    this.#choice = choice;
    this.#clock = clock;
    this.#calls = new Calls({ clock, leastMs, onChange: (cause) => this.#log(cause) });
    this.#known = new Known(clock);
    this.#tags = new TagsInUse(server, clock);
    const onCall = {
      ended: (call: EndedCall) => this.#onCall(call),
      answeredLate: (tookMs: number) => this.#calls.answeredLate(tookMs),
    };
    this.#workers = new Workers({ server, worker, onCall });
    this.#gate = new Gate({
      clock,
      probe: () => this.#workers.sign(this.#calls.longestMs),
      onChange: (isOpen) => this.#onGate(isOpen),
    });
    this.#batches = new Batches({
      server,
      deadlineMs: () => this.#calls.deadlineMs(),
      mayCall: () => this.#gate.mayCall(),
      countsAlone: choice.onFailure === 'local',
      onCall,
      onAnswered: (scopes, done) => this.#onAnswered(scopes, done),
    });
    this.#withoutRedis = new WithoutRedis({
      policy: choice.onFailure,
      isCluster: server.isCluster,
      known: this.#known,
      workers: () => Math.max(choice.workersAtLeast ?? 1, this.#workers.alive),
      openIn: (tag) => this.#open.in(tag),
      monotonic: () => clock.monotonic(),
      batches: this.#batches,
      takeOver: (request, held) => this.#hold(request, held),
      onUntold: () => this.#tellUntold(),
      onFull: () => this.#logFull(),
    });
  }

  get condition(): Limiter['condition'] {
    return this.#calls.condition;
  }

  async open(): Promise<void> {
    const every = (ms: number, run: () => void) => setInterval(run, ms).unref();
    this.#timers = [every(renewEveryMs, () => this.#renew()), every(signEveryMs, () => this.#sign())];
    const firstMs = Math.max(firstAnswerMsMax, this.#choice.deadlineMs ?? 0);
    // A connection that was opened a moment ago rejects what it is asked before it is there.
    await atMost(this.#server.untilReady(), firstMs);
    await this.#workers.sign(firstMs).catch(() => undefined);
  }

  admit(request: LimitRequest): Promise<Admission> {
    const call = { ...request, alternatives: request.alternatives ?? [] };
    if (call.scopes.length + call.alternatives.length === 0) return Promise.resolve(unlimited(call.id));
    if (!this.#gate.mayCall()) return Promise.resolve(this.#without(call, []));
    if (this.#server.isCluster) return this.#admitScattered(call);
    return new Promise((resolve) =>
      this.#batches.admit(call, (answer, late) => {
        if (answer) resolve(this.#granted(call, fromOne(call, answer)));
        else resolve(this.#without(call, [{ tags: tagsOf(call), late }]));
      }),
    );
  }

  settle(reservation: Reservation, used: number | null): void {
    if (!(reservation instanceof OpenRequest) || reservation.isSettled) return;
    reservation.isSettled = true;
    reservation.used = used;
    if (reservation.held.length > 0) this.#open.remove(reservation);
    for (const one of reservation.held) this.#batches.tell({ op: 'settle', held: one, used, again: false });
    for (const grant of reservation.locals) this.#withoutRedis.settle(grant);
  }

  isRedisAsked(): boolean {
    return this.#gate.mayCall() && !this.#batches.isStalled;
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#batches.tellKept();
    this.#withoutRedis.tell();
    await this.#batches.drain();
    this.#gate.close();
    await this.#workers.leave(this.#calls.deadlineMs());
  }

  async #admitScattered(call: AdmitCall): Promise<Admission> {
    const scattered = await admitScattered(this.#batches, call);
    if ('gathered' in scattered) return this.#granted(call, scattered.gathered);
    return this.#withoutRedis.admit(scattered.unanswered);
  }

  /** What Redis said, or refused. */
  #granted({ id }: AdmitCall, gathered: Gathered): Admission {
    const told = toldOf(gathered);
    if (told.outcome === 'refused') return told;
    const handle = new OpenRequest(id);
    this.#hold(handle, gathered.answers.flatMap(leasesOf));
    return { ...told, by: 'redis', handle };
  }

  #without(call: AdmitCall, lost: Parameters<WithoutRedis['admit']>[0]['lost']): Admission {
    return this.#withoutRedis.admit({ call, kept: [], alternative: -1, lost });
  }

  /** Redis holds this for the request, and has to be told its end. */
  #hold(request: OpenRequest, held: readonly Held[]): void {
    if (held.length === 0) return;
    if (request.isSettled) {
      const { used } = request;
      for (const one of held) this.#batches.tell({ op: 'settle', held: one, used, again: false });
      return;
    }
    if (request.held.length > 0) this.#open.remove(request);
    request.held = request.held.length === 0 ? held : [...request.held, ...held];
    this.#open.add(request, this.#clock.monotonic());
    for (const { scopes, lease } of held) {
      for (const { scope } of lease.holds) this.#tags.note(scopes[scope]?.tag ?? '');
    }
  }

  #onCall({ failure, tookMs, ops, isFirst }: EndedCall): void {
    if (failure === undefined) this.#calls.answered(tookMs);
    else this.#calls.failed(failure);
    if (ops === 0) return; // a sign of life
    if (isFirst) this.#gate.tell(failure === undefined);
    this.#choice.onCall?.(failure === undefined, tookMs, ops);
  }

  #onAnswered(scopes: readonly LimitScope[], done: Transacted): void {
    this.#known.note(scopes, done);
    this.#open.countNoMore();
  }

  #tellUntold(): void {
    if (this.#gate.mayCall()) this.#withoutRedis.tell();
  }

  #renew(): void {
    if (!this.#gate.mayCall()) return;
    for (const { held } of this.#open.takeDue(this.#clock.monotonic())) {
      for (const one of held) this.#batches.tell({ op: 'renew', held: one });
    }
  }

  #sign(): void {
    this.#tags.tick();
    if (!this.#gate.mayCall()) return;
    this.#batches.tellKept();
    this.#workers.sign(this.#calls.longestMs).catch(() => undefined);
  }

  #onGate(isOpen: boolean): void {
    if (isOpen) {
      this.#calls.gaveUp();
      return this.#batches.leaveAll('Redis is not asked any more');
    }
    this.#isFullLogged = false;
    this.#batches.tellKept();
    this.#withoutRedis.tell();
  }

  /** Once an outage. */
  #logFull(): void {
    if (this.#isFullLogged) return;
    this.#isFullLogged = true;
    const { log, onFailure } = this.#choice;
    const then = onFailure === 'allow' ? 'what others use is not charged' : 'requests of others are refused';
    log?.('warn', `limits: no memory for more than Redis has to be told already: ${then}`);
  }

  #log(cause: string | undefined): void {
    const { log, onFailure } = this.#choice;
    if (cause === undefined) log?.('info', 'limits: no call to Redis fails any more; they are exact again');
    else log?.('warn', `limits: ${cause}; on_redis_failure: ${onFailure}`);
  }
}

function unlimited(id: string): Granted<Reservation> {
  const told = { requests: null, tokens: null, shadowRefusals: [] };
  return { outcome: 'granted', by: 'redis', alternative: -1, handle: new OpenRequest(id), ...told };
}

const tagsOf = ({ scopes, alternatives }: AdmitCall): string[] =>
  [...scopes, ...alternatives].map(({ tag }) => tag);
