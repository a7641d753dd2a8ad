/** Which API a path belongs to. The path decides the dialect of every later error, also of a 404 under it. */
import { GatewayError, type Dialect } from '@llmproxy/errors';
import { pathOf } from '@llmproxy/exchange';

/** The API behind a path; a closed set, so that it can be a metric label. */
export type Endpoint =
  'chat.completions' | 'completions' | 'embeddings' | 'responses' | 'messages' | 'models' | 'other';

export interface Route {
  readonly endpoint: Endpoint;
  readonly dialect: Dialect;
  /** Path without the query, as received. */
  readonly path: string;
  /** `path` for metrics: one of the known paths, or `/v1/*`. */
  readonly pathLabel: string;
  /** The body must be a JSON object whose `model` and `stream` we need. */
  readonly readsBody: boolean;
  /** `/v1/models` and `/v1/models/<id>` are answered by the gateway from all backends. */
  readonly kind: 'forward' | 'models';
}

interface KnownPath {
  endpoint: Endpoint;
  methods: readonly string[];
  kind: Route['kind'];
}

const post = (endpoint: Endpoint): KnownPath => ({ endpoint, methods: ['POST'], kind: 'forward' });

const knownPaths: Readonly<Record<string, KnownPath>> = {
  '/v1/chat/completions': post('chat.completions'),
  '/v1/completions': post('completions'),
  '/v1/embeddings': post('embeddings'),
  '/v1/responses': post('responses'),
  '/v1/messages': post('messages'),
  '/v1/models': { endpoint: 'models', methods: ['GET', 'HEAD'], kind: 'models' },
};

/** The dialect that a client of this path speaks, also when the path does not exist. */
export function dialectOf(path: string): Dialect {
  return path === '/v1/messages' || path.startsWith('/v1/messages/') ? 'anthropic' : 'openai';
}

// A backend that resolves `..` would be reached outside /v1/; one that decodes %2e would too.
const climbs = /(?:^|[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:[/\\]|%2f|%5c|$)/i;

/** Makes the route stage. It throws `unknown_route`, `method_not_allowed` or `invalid_request`. */
export function createRouter(): (request: { method: string; target: string }) => Route {
  const known = new Map<string, { route: Route; methods: readonly string[] }>();
  for (const [path, { endpoint, methods, kind }] of Object.entries(knownPaths)) {
    const readsBody = methods.includes('POST');
    const route = { endpoint, dialect: dialectOf(path), path, pathLabel: path, readsBody, kind };
    known.set(path, { route, methods });
  }
  return ({ method, target }) => {
    const path = pathOf(target);
    const exact = known.get(path);
    if (!exact) return otherRoute(method, path);
    if (!exact.methods.includes(method)) throw methodNotAllowed(method, path, exact.methods);
    return exact.route;
  };
}

function otherRoute(method: string, path: string): Route {
  if (!path.startsWith('/v1/') || path.length === '/v1/'.length) {
    throw new GatewayError(
      'unknown_route',
      `No such path: ${shorten(path)}. The gateway serves /v1/chat/completions, /v1/completions, /v1/embeddings, ` +
        `/v1/responses, /v1/messages, /v1/models and passes on any other path under /v1/.`,
    );
  }
  if (climbs.test(path)) {
    throw new GatewayError(
      'invalid_request',
      `The path ${shorten(path)} contains "." or ".." segments; send it without.`,
    );
  }
  const base = { dialect: dialectOf(path), path, readsBody: false } as const;
  if (path.startsWith('/v1/models/')) {
    if (method === 'GET' || method === 'HEAD') {
      return { ...base, endpoint: 'models', pathLabel: '/v1/models', kind: 'models' };
    }
  }
  return { ...base, endpoint: 'other', pathLabel: '/v1/*', kind: 'forward' };
}

function methodNotAllowed(method: string, path: string, allowed: readonly string[]): GatewayError {
  const allow = allowed.join(', ');
  return new GatewayError('method_not_allowed', `${method} is not allowed on ${path}; use ${allow}.`, {
    headers: { allow },
  });
}

const shorten = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}…` : text);
