/** The configured backends with their connection pools, and which of them are well. */
import type { Config } from '@llmproxy/config';
import type { Forwarder, Inbound, Outgoing, RawHeaders } from '@llmproxy/exchange';
import {
  backendTarget,
  createRequestHeaderRules,
  openHttp1Forwarder,
  requestHeaders,
  type Backend,
  type RequestHeaderRules,
} from '@llmproxy/forwarding';
import type { Route } from '@llmproxy/routing';
import type { Ask } from './ask.ts';

export interface BackendSettings {
  name: string;
  /** Base URL without trailing slash and without `/v1`. */
  url: string;
  weight: number;
  timeoutMs: number;
  connectTimeoutMs: number;
  /** Credential and configured headers: names and values in turn. */
  inject: RawHeaders;
  /** Lower-case names of the injected headers that carry a credential. */
  secretHeaders: readonly string[];
  /** Ask OpenAI-dialect streams for the usage chunk. */
  includeUsage: boolean;
}

/** The backends of the config, in the words of this file. */
export function backendSettings(config: Config): BackendSettings[] {
  return config.backends.map((backend) => ({
    name: backend.name,
    url: backend.url,
    weight: backend.weight,
    timeoutMs: backend.timeout,
    connectTimeoutMs: backend.connect_timeout,
    inject: injected(backend),
    secretHeaders: backend.credential ? [backend.credential.header.toLowerCase()] : [],
    includeUsage: backend.include_usage,
  }));
}

function injected({ headers, credential }: Config['backends'][number]): string[] {
  const pairs = Object.entries(headers).flat();
  if (credential) pairs.push(credential.header.toLowerCase(), credential.value);
  return pairs;
}

export interface PooledBackend extends Backend {
  readonly weight: number;
  readonly pathPrefix: string;
  readonly includeUsage: boolean;
  readonly headerRules: RequestHeaderRules;
  readonly forwarder: Forwarder & { close(): Promise<void> };
}

export function openBackends(
  settings: readonly BackendSettings[],
  keyHeaders: readonly string[],
): PooledBackend[] {
  return settings.map((backend) => {
    const { origin, pathname } = new URL(backend.url);
    return {
      name: backend.name,
      url: backend.url,
      weight: backend.weight,
      pathPrefix: pathname === '/' ? '' : pathname,
      includeUsage: backend.includeUsage,
      headerRules: createRequestHeaderRules(keyHeaders, backend.inject),
      secretHeaders: new Set(backend.secretHeaders),
      forwarder: openHttp1Forwarder({
        origin,
        connectTimeoutMs: backend.connectTimeoutMs,
        timeoutMs: backend.timeoutMs,
      }),
    };
  });
}

/** Whether this request goes to this backend with `stream_options.include_usage` spliced in. */
export function asksForUsage(backend: PooledBackend, ask: Ask): boolean {
  return backend.includeUsage && ask.payload.canAskForUsage;
}

/** The request as this backend shall see it. */
export function outgoingFor(backend: PooledBackend, inbound: Inbound, route: Route, ask: Ask): Outgoing {
  const body = ask.payload.bytes(backend.includeUsage);
  return {
    method: inbound.method,
    target: backendTarget(backend.pathPrefix, route.path, inbound.target),
    // A streamed answer is scanned as it passes, and may lose its usage chunk: it must not be compressed.
    rawHeaders: requestHeaders(inbound.rawHeaders, backend.headerRules, inbound.requestId, ask.stream),
    body: body.length > 0 ? body : undefined,
  };
}
