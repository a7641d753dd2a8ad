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
export const credentialHeaders: readonly string[] = [
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

const neverToClient = new Set([...hopByHop, ...credentialHeaders, 'x-request-id']);

export interface RequestHeaderRules {
  /** Lower-case names that may hold a client's key here, beyond the usual ones. */
  readonly keyHeaders: ReadonlySet<string>;
  /** Added to every request to this backend: names (lower case) and values in turn. A client's copy is dropped. */
  readonly inject: RawHeaders;
}

export function createRequestHeaderRules(keyHeaders: readonly string[], inject: RawHeaders): RequestHeaderRules {
  const injected = inject.filter((_, index) => index % 2 === 0);
  return { keyHeaders: new Set([...keyHeaders, ...injected].map((name) => name.toLowerCase())), inject };
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
  const named = namedByConnection(received);
  const sent: string[] = [];
  for (let i = 0; i < received.length; i += 2) {
    const name = received[i] as string;
    const lower = name.toLowerCase();
    if (neverToBackend.has(lower) || rules.keyHeaders.has(lower) || neverToBackendPrefixes.test(lower)) continue;
    if (identity && lower === 'accept-encoding') continue;
    if (named?.has(lower)) continue;
    sent.push(name, received[i + 1] as string);
  }
  if (identity) sent.push('accept-encoding', 'identity');
  sent.push('x-request-id', requestId);
  for (const part of rules.inject) sent.push(part);
  return sent;
}

/** What the relay must know of an answer's headers, and the headers themselves as the client may see them. */
export interface ResponseHead {
  readonly headers: string[];
  readonly contentType: string;
  /** Lower case; empty when the body is not compressed. */
  readonly contentEncoding: string;
}

/** The headers of an answer as the client may see them, with `x-request-id` and what keeps a stream unbuffered. */
export function responseHead(received: RawHeaders, requestId: string): ResponseHead {
  const named = namedByConnection(received);
  const headers: string[] = [];
  let contentType = '';
  let contentEncoding = '';
  let contentLength: string | undefined;
  let hasCacheControl = false;
  for (let i = 0; i < received.length; i += 2) {
    const name = received[i] as string;
    const value = received[i + 1] as string;
    const lower = name.toLowerCase();
    if (neverToClient.has(lower) || named?.has(lower)) continue;
    if (lower === 'content-length') {
      contentLength = value;
      continue;
    }
    if (lower === 'content-type') contentType = value.toLowerCase();
    else if (lower === 'content-encoding') contentEncoding = value.trim().toLowerCase();
    else if (lower === 'cache-control') hasCacheControl = true;
    else if (lower === 'x-accel-buffering') continue;
    headers.push(name, value);
  }
  if (isEventStream(contentType)) {
    // Proxies between us and the client would otherwise hold the stream back or compress it.
    if (!hasCacheControl) headers.push('cache-control', 'no-cache, no-transform');
    headers.push('x-accel-buffering', 'no');
  } else if (contentLength !== undefined) headers.push('content-length', contentLength);
  headers.push('x-request-id', requestId);
  return { headers, contentType, contentEncoding: contentEncoding === 'identity' ? '' : contentEncoding };
}

export const isEventStream = (contentType: string): boolean => contentType.startsWith('text/event-stream');

function namedByConnection(raw: RawHeaders): Set<string> | undefined {
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    if (name.length !== 10 || name.toLowerCase() !== 'connection') continue;
    const value = (raw[i + 1] as string).toLowerCase();
    if (value === 'keep-alive' || value === 'close') continue;
    return new Set(value.split(',').map((token) => token.trim()));
  }
  return undefined;
}
