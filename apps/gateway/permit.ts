/**
 * The admit stage: a request reserves what it may use in every limit it meets, or nothing. What is reserved is settled
 * once, on every exit.
 */
import { randomUUID } from 'node:crypto';
import { GatewayError } from '@llmproxy/errors';
import type { Caller } from '@llmproxy/auth';
import type { RawHeaders } from '@llmproxy/exchange';
import type { Forwarded, Relayed } from '@llmproxy/forwarding';
import {
  rateLimitHeaders,
  refusalHeaders,
  type Admission,
  type Granted,
  type Limiter,
  type Refused,
  type RefusedBy,
  type Reservation,
} from '@llmproxy/limits';
import type { LimitScope } from '@llmproxy/limit-state';
import type { Route } from '@llmproxy/routing';
import type { TokenUsage } from '@llmproxy/usage-queue';
import { chargeFor, reservedTokens, type Ask } from './ask.ts';
import type { PooledBackend } from './backends.ts';
import type { GatewayMetrics } from './gateway-metrics.ts';
import type { LimitScopes } from './limit-scopes.ts';
import type { Permit, Settled, Stages } from './pipeline.ts';

export interface AdmitOptions {
  readonly metrics: Pick<GatewayMetrics, 'started' | 'finished' | 'limited'>;
  /** The next backend for a request; undefined when none is left. */
  pick(tried: readonly PooledBackend[]): PooledBackend | undefined;
  /** Undefined where nothing can be limited. */
  readonly limits: { readonly limiter: Limiter; readonly scopes: LimitScopes } | undefined;
  /** Tokens set aside for an answer whose length the request does not bound. */
  readonly defaultMaxTokens: number;
}

/** Makes the stage. It throws `rate_limit_exceeded`, `insufficient_quota` or `limits_unavailable`. */
export function createAdmit(options: AdmitOptions): Stages['admit'] {
  const { limits, metrics, pick } = options;
  const nextId = uniqueIds();
  return (route, caller, ask) => {
    const held: Held = { route, caller, ask, metrics, limiter: limits?.limiter, pick, nextId };
    const wanted = limits && requestFor(limits.scopes, held, options);
    if (limits === undefined || wanted === undefined) return new OpenPermit(held, undefined, []);
    return limits.limiter.admit(wanted.request).then((admission) => {
      for (const refusal of shadowed(admission)) metrics.limited(refusal, 'shadow');
      if (admission.outcome !== 'granted') throw refusalOf(admission, caller, metrics);
      return new OpenPermit(held, admission, wanted.candidates, limits.scopes);
    });
  };
}

/** What to ask the limiter for; undefined when the request meets no limit. */
function requestFor(
  scopes: LimitScopes,
  { route, caller, ask, nextId }: Held,
  { pick, defaultMaxTokens }: AdmitOptions,
) {
  const own = scopes.of(caller);
  const candidates = route.kind === 'forward' && scopes.limitsBackends ? inOrder(pick, scopes) : [];
  if (own.length === 0 && candidates.length === 0) return undefined;
  const tokens = reservedTokens(ask, route.endpoint, defaultMaxTokens);
  const request = {
    id: nextId(),
    tokens,
    scopes: own,
    alternatives: candidates.map(({ scope }) => scope),
  };
  return { request, candidates };
}

/** Names of reservations. Not `x-request-id`: the client chooses it, and may send one twice. */
function uniqueIds(): () => string {
  const worker = randomUUID();
  let requests = 0;
  return () => `${worker}.${(requests += 1)}`;
}

interface Candidate {
  readonly backend: PooledBackend;
  readonly scope: LimitScope;
}

/** Backends in the order of the balancer, up to the first that is not limited: there is always room for more there. */
function inOrder(pick: AdmitOptions['pick'], scopes: LimitScopes): Candidate[] {
  const candidates: Candidate[] = [];
  const tried: PooledBackend[] = [];
  for (let backend = pick(tried); backend; backend = pick(tried)) {
    const scope = scopes.backend(backend.name);
    candidates.push({ backend, scope: scope ?? { tag: `b:${backend.name}`, limits: {} } });
    if (scope === undefined) break;
    tried.push(backend);
  }
  return candidates;
}

interface Held {
  readonly route: Route;
  readonly caller: Caller;
  readonly ask: Ask;
  readonly metrics: Pick<GatewayMetrics, 'started' | 'finished'>;
  readonly limiter: Limiter | undefined;
  nextId(): string;
  pick(tried: readonly PooledBackend[]): PooledBackend | undefined;
}

class OpenPermit implements Permit {
  readonly rateHeaders: RawHeaders;
  readonly shadowRefusals: readonly RefusedBy[];
  readonly #held: Held;
  readonly #candidates: readonly Candidate[];
  readonly #scopes: LimitScopes | undefined;
  readonly #first: PooledBackend | undefined;
  readonly #reservations: Reservation[] = [];
  /** Tokens to be charged; null gives back what was reserved. */
  #used: number | null = null;

  constructor(
    held: Held,
    granted: Granted<Reservation> | undefined,
    candidates: readonly Candidate[],
    scopes?: LimitScopes,
  ) {
    this.#held = held;
    this.#candidates = candidates;
    this.#scopes = scopes;
    this.rateHeaders = granted ? rateLimitHeaders(granted) : noHeaders;
    this.shadowRefusals = granted?.shadowRefusals ?? [];
    if (granted) this.#reservations.push(granted.handle);
    this.#first = granted && candidates[granted.alternative]?.backend;
    held.metrics.started();
  }

  /** The backend in which there is room first; after it failed, the next one with room. */
  backend(tried: readonly PooledBackend[]): PooledBackend | undefined | Promise<PooledBackend | undefined> {
    if (tried.length === 0) return this.#first ?? this.#held.pick(tried);
    return this.#candidates.length === 0 ? this.#held.pick(tried) : this.#nextWithRoom(tried);
  }

  settle({ backend, kind }: Forwarded<PooledBackend>, relayed: Relayed, usage: TokenUsage | null): Settled {
    const { route, caller, ask } = this.#held;
    if (kind === 'answered') this.#used = chargeFor(ask, relayed, usage);
    return { route, caller, ask, backend, relayed, usage, shadowRefusals: this.shadowRefusals };
  }

  [Symbol.dispose](): void {
    for (const reservation of this.#reservations) this.#held.limiter?.settle(reservation, this.#used);
    this.#held.metrics.finished();
  }

  /** The failed backend keeps its share until the end of the request: it is one that cannot be reached. */
  async #nextWithRoom(tried: readonly PooledBackend[]): Promise<PooledBackend | undefined> {
    const { pick, limiter } = this.#held;
    const backend = pick(tried);
    const scope = backend && this.#scopes?.backend(backend.name);
    if (backend === undefined || scope === undefined || limiter === undefined) return backend;
    const id = this.#held.nextId();
    const admission = await limiter.admit({ id, tokens: 0, scopes: [scope] });
    if (admission.outcome !== 'granted') return this.#nextWithRoom([...tried, backend]);
    this.#reservations.push(admission.handle);
    return backend;
  }
}

const noHeaders: RawHeaders = [];

const shadowed = (admission: Admission): readonly RefusedBy[] =>
  admission.outcome === 'unavailable' ? [] : admission.shadowRefusals;

function refusalOf(
  admission: Exclude<Admission, Granted<Reservation>>,
  caller: Caller,
  metrics: AdmitOptions['metrics'],
): GatewayError {
  if (admission.outcome === 'unavailable') {
    const headers = { 'retry-after': '1', 'retry-after-ms': '1000' };
    return new GatewayError('limits_unavailable', 'Limits cannot be checked at the moment. Try again.', {
      headers,
      about: caller,
    });
  }
  metrics.limited(admission, 'enforce');
  const headers = Object.fromEntries(pairs([...rateLimitHeaders(admission), ...refusalHeaders(admission)]));
  // What requests under way have reserved of a quota comes back in part: then it is worth to try again.
  if (admission.limit === 'quota' && admission.retryAfterMs < 0) {
    const message =
      'The token quota of this API key is used up, or too little of it is left for this request.';
    return new GatewayError('insufficient_quota', message, { headers, about: caller });
  }
  return new GatewayError('rate_limit_exceeded', messageFor(admission), { headers, about: caller });
}

const owners = { global: 'the gateway', key: 'this API key', ip: 'your address', backend: 'the backends' };
const limitWords = {
  requests_per_second: 'requests per second',
  requests_per_minute: 'requests per minute',
  tokens_per_minute: 'tokens per minute',
  max_concurrent: 'requests at once',
  quota: 'tokens',
};

function messageFor({ kind, limit, retryAfterMs, requests, tokens }: Refused): string {
  const figure = limit === 'tokens_per_minute' ? tokens : requests;
  const bound = figure === null || limit === 'max_concurrent' ? '' : ` (${figure.limit})`;
  const advice =
    retryAfterMs < 0
      ? 'This request alone is over it.'
      : `Try again in ${Math.max(1, Math.ceil(retryAfterMs / 1000))} s.`;
  return `Over the limit of ${limitWords[limit]} of ${owners[kind]}${bound}. ${advice}`;
}

function* pairs(headers: RawHeaders): Generator<[string, string]> {
  for (let i = 0; i < headers.length; i += 2) yield [headers[i] as string, headers[i + 1] as string];
}
