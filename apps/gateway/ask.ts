/** What a client asks for, as far as the gateway must know it. */
import { GatewayError } from '@llmproxy/errors';
import type { Inbound } from '@llmproxy/exchange';
import type { Route } from '@llmproxy/routing';
import { askForUsage, scanRequest } from '@llmproxy/usage';

export interface Ask {
  readonly body: Buffer;
  readonly model: string | null;
  readonly stream: boolean;
  /** Whether the body is known to be a JSON object: paths whose API the gateway understands. */
  readonly isJson: boolean;
  /** The body with `stream_options.include_usage` spliced in; null where the client asked itself, or cannot ask. */
  readonly bodyAskingForUsage: Buffer | null;
}

/** APIs whose streams tell their usage only when asked by `stream_options.include_usage`. */
const usageIsOptional: ReadonlySet<Route['endpoint']> = new Set(['chat.completions', 'completions'] as const);

/** Makes the read stage. It throws `request_too_large`, `invalid_json`, `request_timeout` or `client_closed`. */
export function createRead(bodyBytesMax: number): (inbound: Inbound, route: Route) => Promise<Ask> {
  return async (inbound, route) => {
    const body = await inbound.body(bodyBytesMax);
    if (!route.readsBody)
      return { body, model: null, stream: false, isJson: false, bodyAskingForUsage: null };
    const scan = scanRequest(body);
    if ('error' in scan)
      throw new GatewayError('invalid_json', `The request body cannot be used: ${scan.error}`);
    const spliced = scan.stream && usageIsOptional.has(route.endpoint) ? askForUsage(body, scan) : null;
    const bodyAskingForUsage = spliced?.asked ? spliced.body : null;
    return { body, model: scan.model, stream: scan.stream, isJson: true, bodyAskingForUsage };
  };
}
