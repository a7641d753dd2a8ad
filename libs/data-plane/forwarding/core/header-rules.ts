/**
 * Which headers cross the gateway. Guarantees: a client's credentials and identity headers never reach a backend, a
 * backend's credential never reaches a client, and hop-by-hop headers stay on their hop (RFC 9110 §7.6.1).
 */
import type { RawHeaders } from '@llmproxy/exchange';

const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'proxy-authenticate',
  'http2-settings',
];

/** Names under which credentials travel, whoever's they are. */
const credentialHeaders = [
  'authorization',
  'proxy-authorization',
  'x-api-key',
  'api-key',
  'x-goog-api-key',
  'xi-api-key',
];

const neverToBackend = new Set([
  ...hopByHop,
  ...credentialHeaders,
  'cookie',
  'x-api-key-userid',
  'x-api-key-name',
  'x-real-ip',
  'forwarded',
  'host',
  'expect',
  'content-length', // the engine counts the body it sends
  'x-request-id', // replaced by ours
]);
const neverToBackendPrefixes = /^x-(?:amz-|forwarded-|gateway-)/;

const neverToClient = new Set([...hopByHop, ...credentialHeaders, 'x-request-id', 'x-accel-buffering']);

/**
 * What becomes of a header, by its name. A process meets the same few dozen spellings over and over: looking one up
 * here costs a third of lower-casing it and asking the rules.
 */
class FateByName<Fate> {
  readonly #known = new Map<string, Fate>();
  readonly #decide: (lowerCaseName: string) => Fate;

  constructor(decide: (lowerCaseName: string) => Fate) {
    this.#decide = decide;
  }

  of(name: string): Fate {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const fate = this.#decide(name.toLowerCase());
    if (this.#known.size < namesMax) this.#known.set(name, fate); // clients choose names: bounded
    return fate;
  }
}

const namesMax = 512;

export interface RequestHeaderRules {
  readonly fates: FateByName<'keep' | 'drop' | 'accept-encoding' | 'connection'>;
  /** Added to every request to this backend: names (lower case) and values in turn. A client's copy is dropped. */
  readonly inject: RawHeaders;
}

/** @param keyHeaders names that may hold a client's key here, beyond the usual ones */
export function createRequestHeaderRules(
  keyHeaders: readonly string[],
  inject: RawHeaders,
): RequestHeaderRules {
  const injected = inject.filter((_, index) => index % 2 === 0);
  const dropped = new Set([...keyHeaders, ...injected].map((name) => name.toLowerCase()));
  const fates = new FateByName((name) => {
    if (name === 'connection') return 'connection' as const;
    if (neverToBackend.has(name) || dropped.has(name) || neverToBackendPrefixes.test(name))
      return 'drop' as const;
    return name === 'accept-encoding' ? ('accept-encoding' as const) : ('keep' as const);
  });
  return { fates, inject };
}

/**
 * The headers of a request as its backend may see them.
 * @param identity asks the backend not to compress: needed where the answer is changed on its way
 */
export function requestHeaders(
  received: RawHeaders,
  rules: RequestHeaderRules,
  requestId: string,
  identity: boolean,
): string[] {
  let sent: string[] = [];
  let named: Set<string> | undefined;
  for (let i = 0; i < received.length; i += 2) {
    const name = received[i] as string;
    const value = received[i + 1] as string;
    const fate = rules.fates.of(name);
    if (fate === 'keep' || (fate === 'accept-encoding' && !identity)) sent.push(name, value);
    else if (fate === 'connection') named = namedByConnection(value, named);
  }
  if (named) sent = without(sent, named);
  if (identity) sent.push('accept-encoding', 'identity');
  sent.push('x-request-id', requestId);
  for (const part of rules.inject) sent.push(part);
  return sent;
}

/** What the relay must know of an answer's headers, and the headers themselves as the client may see them. */
export interface ResponseHead {
  readonly headers: string[];
  /** Lower case. */
  readonly contentType: string;
  /** Lower case; empty when the body is not compressed. */
  readonly contentEncoding: string;
}

type ResponseFate =
  | 'keep'
  | 'drop'
  | 'connection'
  | 'rate-limit'
  | 'content-length'
  | 'content-type'
  | 'content-encoding'
  | 'cache-control';

const noticed: ReadonlySet<string> = new Set<ResponseFate>([
  'connection',
  'content-length',
  'content-type',
  'content-encoding',
  'cache-control',
]);

const responseFates = new FateByName<ResponseFate>((name) => {
  if (noticed.has(name)) return name as ResponseFate;
  return neverToClient.has(name) ? 'drop' : 'keep';
});

const none: ReadonlySet<string> = new Set();

/** What is particular to one answer. */
export interface AnswerTerms {
  readonly requestId: string;
  /** Lower-case names of headers that carry the backend's credential. */
  readonly secretHeaders?: ReadonlySet<string> | undefined;
  /** `x-ratelimit-*` of the caller; they replace those of the backend, which concern the gateway. */
  readonly rateHeaders?: RawHeaders | undefined;
}

/** The headers of an answer as the client may see them, with `x-request-id` and what keeps a stream unbuffered. */
export function responseHead(received: RawHeaders, terms: AnswerTerms): ResponseHead {
  const { headers, seen } = keptOf(received, terms.secretHeaders ?? none);
  const contentType = seen['content-type']?.toLowerCase() ?? '';
  if (isEventStream(contentType)) {
    // Proxies between us and the client would otherwise hold the stream back or compress it.
    if (seen['cache-control'] === undefined) headers.push('cache-control', 'no-cache, no-transform');
    headers.push('x-accel-buffering', 'no');
  } else if (seen['content-length'] !== undefined) headers.push('content-length', seen['content-length']);
  const shown = terms.rateHeaders?.length ? withRates(headers, terms.rateHeaders) : headers;
  shown.push('x-request-id', terms.requestId);
  return { headers: shown, contentType, contentEncoding: codingOf(seen['content-encoding']) };
}

function codingOf(contentEncoding = ''): string {
  const coding = contentEncoding.trim().toLowerCase();
  return coding === 'identity' ? '' : coding;
}

const isRate = new FateByName<boolean>((name) => name.startsWith('x-ratelimit-'));

function withRates(headers: string[], rates: RawHeaders): string[] {
  const nameAt = (index: number) => headers[index - (index % 2)] as string;
  const tells = headers.some((name, index) => index % 2 === 0 && isRate.of(name));
  const others = tells ? headers.filter((_, index) => !isRate.of(nameAt(index))) : headers;
  for (const part of rates) others.push(part);
  return others;
}

function keptOf(
  received: RawHeaders,
  secretHeaders: ReadonlySet<string>,
): { headers: string[]; seen: Partial<Record<ResponseFate, string>> } {
  const headers: string[] = [];
  let named: Set<string> | undefined;
  const seen: Partial<Record<ResponseFate, string>> = {};
  for (let i = 0; i < received.length; i += 2) {
    const name = received[i] as string;
    const value = received[i + 1] as string;
    const fate = responseFates.of(name);
    if (fate === 'drop') continue;
    if (fate === 'connection') {
      named = namedByConnection(value, named);
      continue;
    }
    if (fate !== 'keep') seen[fate] = value;
    if (fate !== 'content-length') headers.push(name, value);
  }
  const shown = secretHeaders.size > 0 ? without(headers, secretHeaders) : headers;
  return { headers: named ? without(shown, named) : shown, seen };
}

export const isEventStream = (contentType: string): boolean => contentType.startsWith('text/event-stream');

/** The headers that a `Connection` header declares hop-by-hop, added to those of an earlier one. */
function namedByConnection(value: string, earlier: Set<string> | undefined): Set<string> | undefined {
  const lower = value.toLowerCase();
  if (lower === 'keep-alive' || lower === 'close') return earlier;
  const names = lower.split(',').map((token) => token.trim());
  return new Set([...(earlier ?? []), ...names]);
}

function without(headers: readonly string[], named: ReadonlySet<string>): string[] {
  return headers.filter((_, index) => !named.has((headers[index - (index % 2)] as string).toLowerCase()));
}
