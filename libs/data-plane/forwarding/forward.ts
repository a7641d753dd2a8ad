/** Sends the request to a backend; another one is tried only while nothing was sent (`nothingWasSent`). */
import { GatewayError } from '@llmproxy/errors';
import type { Answer, Attempt, Departure, Forwarder, Inbound, Outgoing } from '@llmproxy/exchange';
import { backendError, nothingWasSent } from './core/failure.ts';

/** A backend as forwarding needs it. */
export interface Backend {
  readonly name: string;
  readonly url: string;
  readonly forwarder: Forwarder;
  /** Lower-case names of further headers that carry its credential: never shown to clients, should it send them back. */
  readonly secretHeaders: ReadonlySet<string>;
}

/** Where a request ended up: at a backend (or the gateway itself: null) that answered, or nowhere, with the error for the client. */
export type Forwarded<B extends Backend> =
  | { kind: 'answered'; answer: Answer; backend: B | null }
  | { kind: 'failed'; error: GatewayError; backend: B | null };

export interface ForwardOptions<B extends Backend> {
  /** Chooses among the available backends that are not in `tried`. */
  pick(tried: readonly B[]): B | undefined | Promise<B | undefined>;
  /** The request as this backend shall see it. */
  prepare(backend: B): Outgoing;
}

/** Never rejects: a failure is a value, so that an admitted request is settled on every path. */
export async function forward<B extends Backend>(
  inbound: Inbound,
  options: ForwardOptions<B>,
): Promise<Forwarded<B>> {
  const exchange = new Exchange(inbound);
  const tried: B[] = [];
  let failed: Forwarded<B> | undefined;
  for (;;) {
    const picked = options.pick(tried);
    const backend = picked instanceof Promise ? await picked : picked;
    if (!backend) return failed ?? { kind: 'failed', error: noBackend(), backend: null };
    try {
      const answer = await exchange.attempt(backend, options.prepare(backend));
      return { kind: 'answered', answer, backend };
    } catch (cause) {
      failed = { kind: 'failed', error: exchange.errorOf(cause, backend), backend };
      if (exchange.hasEnded || !nothingWasSent(cause)) return failed;
      tried.push(backend);
    }
  }
}

/** The attempts of one request: the one under way is aborted when the client goes. */
class Exchange {
  #departed: Departure | undefined;
  #current: Attempt | undefined;

  constructor(inbound: Inbound) {
    inbound.onGone((why) => {
      this.#departed = why;
      this.#current?.abort();
    });
  }

  get hasEnded(): boolean {
    return this.#departed !== undefined;
  }

  attempt(backend: Backend, outgoing: Outgoing): Promise<Answer> {
    if (this.#departed) return Promise.reject(departure(this.#departed));
    this.#current = backend.forwarder.attempt(outgoing);
    return this.#current.answer;
  }

  errorOf(cause: unknown, backend: Backend): GatewayError {
    return this.#departed ? departure(this.#departed) : backendError(cause, backend.name);
  }
}

/** The error of an exchange that ended before its answer did. */
export function departure(why: Departure): GatewayError {
  return why === 'client_left'
    ? new GatewayError('client_closed', 'The client closed the connection.')
    : new GatewayError(
        'draining',
        'The gateway is shutting down and could not wait for this answer. Try again.',
        { headers: { 'retry-after': '1', 'retry-after-ms': '1000' } },
      );
}

const noBackend = () =>
  new GatewayError('no_backend', 'No backend is available right now: all of them fail their health checks.', {
    headers: { 'retry-after': '5', 'retry-after-ms': '5000' },
  });
