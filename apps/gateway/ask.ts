/** What a client asks for, as far as the gateway must know it. */
import { GatewayError } from '@llmproxy/errors';
import type { Inbound } from '@llmproxy/exchange';
import type { Route } from '@llmproxy/routing';
import { askForUsage, scanRequest } from '@llmproxy/usage';

export interface Ask {
  readonly model: string | null;
  readonly stream: boolean;
  /** Whether the body is known to be a JSON object: paths whose API the gateway understands. */
  readonly isJson: boolean;
  readonly payload: Payload;
}

/** The body of a request, for as long as it may have to be sent (again). */
export class Payload {
  /** Whether the client's stream will tell its usage only if the gateway asks for it. */
  readonly canAskForUsage: boolean;
  #asSent: Buffer;
  #askingForUsage: Buffer | null;

  constructor(asSent: Buffer, askingForUsage: Buffer | null) {
    this.#asSent = asSent;
    this.#askingForUsage = askingForUsage;
    this.canAskForUsage = askingForUsage !== null;
  }

  /** @param askForUsage with `stream_options.include_usage` spliced in, where the client did not ask itself */
  bytes(askForUsage = false): Buffer {
    return (askForUsage ? this.#askingForUsage : null) ?? this.#asSent;
  }

  /** Lets go of the bytes. */
  release(): void {
    this.#asSent = noBytes;
    this.#askingForUsage = null;
  }
}

const noBytes = Buffer.alloc(0);

/** APIs whose streams tell their usage only when asked by `stream_options.include_usage`. */
const usageIsOptional: ReadonlySet<Route['endpoint']> = new Set(['chat.completions', 'completions'] as const);

/** Makes the read stage. It throws `request_too_large`, `invalid_json`, `request_timeout` or `client_closed`. */
export function createRead(bodyBytesMax: number): (inbound: Inbound, route: Route) => Promise<Ask> {
  return (inbound, route) => inbound.body(bodyBytesMax).then((body) => askOf(body, route));
}

function askOf(body: Buffer, route: Route): Ask {
  if (!route.readsBody)
    return { model: null, stream: false, isJson: false, payload: new Payload(body, null) };
  const scan = scanRequest(body);
  if ('error' in scan)
    throw new GatewayError('invalid_json', `The request body cannot be used: ${scan.error}`);
  const spliced = scan.stream && usageIsOptional.has(route.endpoint) ? askForUsage(body, scan) : null;
  const payload = new Payload(body, spliced?.asked ? spliced.body : null);
  return { model: scan.model, stream: scan.stream, isJson: true, payload };
}
