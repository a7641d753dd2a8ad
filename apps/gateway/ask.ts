/** What a client asks for, as far as the gateway must know it. */
import { GatewayError } from '@llmproxy/errors';
import type { Inbound } from '@llmproxy/exchange';
import type { Relayed } from '@llmproxy/forwarding';
import { estimateTokens } from '@llmproxy/limits';
import type { Route } from '@llmproxy/routing';
import { askForUsage, scanRequest, type RequestScan } from '@llmproxy/usage';
import type { TokenUsage } from '@llmproxy/usage-queue';

export interface Ask {
  readonly model: string | null;
  readonly stream: boolean;
  /** Size of the body as the client sent it. */
  readonly bodyBytes: number;
  /** Longest answer that the client allows, all choices together, in tokens; undefined: it sets no bound. */
  readonly maxTokens: number | undefined;
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
  if (!route.readsBody) return { ...noAsk, bodyBytes: body.length, payload: new Payload(body, null) };
  const scan = scanRequest(body);
  if ('error' in scan)
    throw new GatewayError('invalid_json', `The request body cannot be used: ${scan.error}`);
  const spliced = scan.stream && usageIsOptional.has(route.endpoint) ? askForUsage(body, scan) : null;
  const payload = new Payload(body, spliced?.asked ? spliced.body : null);
  return {
    model: scan.model,
    stream: scan.stream,
    bodyBytes: body.length,
    maxTokens: maxTokensOf(scan),
    isJson: true,
    payload,
  };
}

const noAsk = { model: null, stream: false, maxTokens: undefined, isJson: false };

function maxTokensOf(scan: RequestScan): number | undefined {
  const each = scan.max_completion_tokens ?? scan.max_tokens ?? scan.max_output_tokens;
  return each === null ? undefined : each * Math.max(1, scan.n ?? 1);
}

/**
 * Tokens to set aside for a request until it is known what it uses: its prompt, and an answer as long as it may be.
 * Nothing for APIs whose bodies are not read: nobody knows what a file is made of.
 */
export function reservedTokens(ask: Ask, endpoint: Route['endpoint'], defaultMaxTokens: number): number {
  if (!ask.isJson) return 0;
  const answersWithText = endpoint !== 'embeddings';
  return estimateTokens(ask.bodyBytes, answersWithText ? ask.maxTokens : 0, defaultMaxTokens);
}

/**
 * Tokens that a request is charged for. What the backend reported; of an answer without a report, a quarter of the
 * bytes that went either way, and nothing for a refusal.
 * @returns null: nothing is charged
 */
export function chargeFor(ask: Ask, relayed: Relayed, usage: TokenUsage | null): number | null {
  if (usage) return usage.total_tokens;
  if (!ask.isJson || relayed.status >= 400) return null;
  return estimateTokens(ask.bodyBytes, estimateTokens(relayed.bytes, 0, 0), 0);
}
