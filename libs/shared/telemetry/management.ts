/** `/livez`, `/readyz`, `/health` and `/metrics` on a listener of their own, so that they need not face clients. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { parseListen } from './listen-address.ts';
import { makeWayForSocket } from './socket-path.ts';

export interface Readiness {
  ok: boolean;
  /** Name of a check → what it found: `ok`, or `ok; …` with a remark, when it is well. */
  checks: Record<string, string>;
}

export interface Management {
  address: string;
  close(): Promise<void>;
}

export interface ManagementOptions {
  listen: string;
  metricsPath?: string;
  /** Prometheus text; undefined when metrics are off. */
  metrics?: () => Promise<string>;
  /** The same series as JSON, for a process that merges several. */
  snapshot?: () => Promise<unknown>;
  ready: () => Readiness;
  /** Checks that take asking others, for `/readyz?verbose` alone: they make nothing unready. Never rejects. */
  furtherChecks?: () => Promise<Readiness['checks']>;
}

/** Whether what a check found is good. */
export const isWell = (found: string): boolean => /^ok(;|$)/.test(found);

/** Whether a probe wants to know what each check found. */
export function asksForChecks(target: string): boolean {
  const [path, query = ''] = target.split('?', 2) as [string, string?];
  return (path === '/readyz' || path === '/healthz') && new URLSearchParams(query).has('verbose');
}

/**
 * Answers the probes; returns the text so that the gateway's own listener can serve the same.
 * @param further checks that are shown beside those of `ready`
 */
export function probeAnswer(
  target: string,
  ready: () => Readiness,
  further: Readiness['checks'] = {},
): { status: number; text: string } | undefined {
  const path = target.split('?', 1)[0];
  if (path === '/livez' || path === '/health') return { status: 200, text: 'OK\n' };
  if (path !== '/readyz' && path !== '/healthz') return undefined;
  const { ok, checks } = ready();
  const status = ok ? 200 : 503;
  if (!asksForChecks(target)) return { status, text: ok ? 'OK\n' : 'not ready\n' };
  const lines = Object.entries({ ...checks, ...further }).map(
    ([name, found]) => `[${isWell(found) ? '+' : '-'}]${name} ${found}`,
  );
  return { status, text: `${lines.join('\n')}\n${ok ? 'ready' : 'not ready'}\n` };
}

/**
 * Serves the probes and metrics.
 * @throws Error when the address is malformed or taken, also when another process answers on the socket
 */
export async function serveManagement(options: ManagementOptions): Promise<Management> {
  const address = parseListen(options.listen);
  if ('path' in address) await makeWayForSocket(address.path);
  const server = createServer((request, response) => void answer(request, response, options));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(address, resolve);
  });
  const bound = server.address();
  return {
    address:
      typeof bound === 'object' && bound
        ? `http://${hostForUrl(bound.address)}:${bound.port}`
        : options.listen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function hostForUrl(host: string): string {
  if (host === '::' || host === '0.0.0.0') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: ManagementOptions,
): Promise<void> {
  const target = request.url ?? '/';
  const further = options.furtherChecks && asksForChecks(target) ? await options.furtherChecks() : {};
  const probe = probeAnswer(target, options.ready, further);
  if (probe) {
    response.writeHead(probe.status, { 'content-type': 'text/plain; charset=utf-8' }).end(probe.text);
    return;
  }
  const path = target.split('?', 1)[0];
  if (options.metrics && path === (options.metricsPath ?? '/metrics')) {
    return collected(response, 'text/plain; version=0.0.4; charset=utf-8', options.metrics);
  }
  const { snapshot } = options;
  if (snapshot && path === '/metrics.json') {
    return collected(response, 'application/json', async () => JSON.stringify(await snapshot()));
  }
  response
    .writeHead(404, { 'content-type': 'text/plain' })
    .end('not found: /livez /readyz /health /metrics\n');
}

async function collected(
  response: ServerResponse,
  contentType: string,
  collect: () => Promise<string>,
): Promise<void> {
  try {
    const text = await collect();
    response.writeHead(200, { 'content-type': contentType }).end(text);
  } catch {
    response
      .writeHead(500, { 'content-type': 'text/plain' })
      .end('metrics could not be collected; see the log\n');
  }
}
