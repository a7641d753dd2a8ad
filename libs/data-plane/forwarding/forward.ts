/** Sends the request to a backend; another one is tried only while nothing was sent (`nothingWasSent`). */
import { GatewayError } from '@llmproxy/errors';
import type { Answer, Attempt, Departure, Forwarder, Inbound, Outgoing } from '@llmproxy/exchange';
import { backendError, nothingWasSent } from './core/failure.ts';

/** A backend as forwarding needs it. */
export interface Backend {
  readonly name: string;
  readonly url: string;
  readonly forwarder: Forwarder;
}

/** Where a request ended up: at a backend (or the gateway itself: null) that answered, or nowhere, with the error for the client. */
export type Forwarded<B extends Backend> =
  | { kind: 'answered'; answer: Answer; backend: B | null }
  | { kind: 'failed'; error: GatewayError; backend: B | null };

export interface ForwardOptions<B extends Backend> {
  /** Chooses among the available backends that are not in `tried`. */
  pick(tried: readonly B[]): B | undefined;
  /** The request as this backend shall see it. */
  prepare(backend: B): Outgoing;
}

/** Never rejects: a failure is a value, so that an admitted request is settled on every path. */
export async function forward<B extends Backend>(inbound: Inbound, options: ForwardOptions<B>): Promise<Forwarded<B>> {
  const tried: B[] = [];
  let last: { error: GatewayError; backend: B } | undefined;
  let current: Attempt | undefined;
  let gone: Departure | undefined;
  inbound.onGone((why) => {
    gone = why;
    current?.abort();
  });
  for (;;) {
    if (gone) return { kind: 'failed', error: departure(gone), backend: last?.backend ?? null };
    const backend = options.pick(tried);
    if (!backend) return { kind: 'failed', error: last?.error ?? noBackend(), backend: last?.backend ?? null };
    try {
      current = backend.forwarder.attempt(options.prepare(backend));
      return { kind: 'answered', answer: await current.answer, backend };
    } catch (cause) {
      if (gone) return { kind: 'failed', error: departure(gone), backend };
      const error = backendError(cause, backend.name);
      if (!nothingWasSent(cause)) return { kind: 'failed', error, backend };
      last = { error, backend };
      tried.push(backend);
    }
  }
}

/** The error of an exchange that ended before its answer did. */
export function departure(why: Departure): GatewayError {
  return why === 'client_left'
    ? new GatewayError('client_closed', 'The client closed the connection.')
    : new GatewayError('draining', 'The gateway is shutting down and could not wait for this answer. Try again.');
}

const noBackend = () =>
  new GatewayError('no_backend', 'No backend is available right now: all of them fail their health checks.', {
    headers: { 'retry-after': '5', 'retry-after-ms': '5000' },
  });
