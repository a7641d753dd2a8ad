/**
 * The life of one request. Read this file first: the stages in their order, and the way out of each.
 */
import type { Caller } from '@llmproxy/auth';
import type { Inbound, RawHeaders } from '@llmproxy/exchange';
import type { Forwarded, Relayed } from '@llmproxy/forwarding';
import type { RefusedBy } from '@llmproxy/limits';
import type { Route } from '@llmproxy/routing';
import type { TokenUsage } from '@llmproxy/usage-queue';
import type { Ask } from './ask.ts';
import type { PooledBackend } from './backends.ts';

/** Everything the edge needs to log, count and bill an admitted request. */
export interface Settled {
  readonly route: Route;
  readonly caller: Caller;
  readonly ask: Ask;
  readonly backend: PooledBackend | null;
  readonly relayed: Relayed;
  readonly usage: TokenUsage | null;
  /** Limits in shadow mode that would have refused the request. */
  readonly shadowRefusals: readonly RefusedBy[];
}

/** What a request holds while it is served; released on every exit. */
export interface Permit extends Disposable {
  /** What the client is told about its limits. */
  readonly rateHeaders: RawHeaders;
  /** The backend to try next; undefined when none is left. */
  backend(tried: readonly PooledBackend[]): PooledBackend | undefined | Promise<PooledBackend | undefined>;
  /** Replaces what was reserved by what was used. */
  settle(forwarded: Forwarded<PooledBackend>, relayed: Relayed, usage: TokenUsage | null): Settled;
}

/** An answer after the relay, with the token counts that were read beside its bytes. */
export interface Metered {
  readonly relayed: Relayed;
  readonly usage: TokenUsage | null;
}

/** What is known of a request once it is admitted. */
export interface Admitted {
  readonly route: Route;
  readonly caller: Caller;
  readonly ask: Ask;
  readonly permit: Permit;
}

export interface Stages {
  route(inbound: Inbound): Route;
  authenticate(inbound: Inbound): Caller | Promise<Caller>;
  read(inbound: Inbound, route: Route): Promise<Ask>;
  authorize(caller: Caller, route: Route, ask: Ask): void;
  admit(route: Route, caller: Caller, ask: Ask): Permit | Promise<Permit>;
  forward(inbound: Inbound, admitted: Admitted): Promise<Forwarded<PooledBackend>>;
  relay(forwarded: Forwarded<PooledBackend>, inbound: Inbound, admitted: Admitted): Promise<Metered>;
}

/** Each line is a stage; the comment is the way out when it fails. What is admitted is settled, whatever happens then. */
export async function serve(inbound: Inbound, stages: Stages): Promise<Settled> {
  const route = stages.route(inbound); // 400, 404, 405
  const known = stages.authenticate(inbound); // 401, 403, 429, 503
  const caller = known instanceof Promise ? await known : known;
  const ask = await stages.read(inbound, route); // 400, 408, 413
  stages.authorize(caller, route, ask); // 403
  using permit = await stages.admit(route, caller, ask); // 429, 503
  const admitted = { route, caller, ask, permit };
  const forwarded = await stages.forward(inbound, admitted); // 502, 503, 504 as a value; failover lives inside
  const { relayed, usage } = await stages.relay(forwarded, inbound, admitted); // never throws: a cut stream still used tokens
  return permit.settle(forwarded, relayed, usage);
}
