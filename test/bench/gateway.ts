import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageFrom } from './children.ts';
import type { Children } from './children.ts';
import { processTree } from './proc.ts';
import { freePort, untilAnswering } from './target.ts';
import type { Target } from './target.ts';

export interface GatewayOptions {
  readonly name: string;
  /** The built gateway, `dist/apps/gateway/main.js`. */
  readonly entry: string;
  readonly workers: number;
  readonly backendUrl: string;
  readonly redis: { readonly url: string; readonly pid: number };
  /** Config, access log and data go here. */
  readonly folder: string;
}

const apiKey = 'sk-bench-0123456789abcdef';

/** Everything on: auth, metering, usage events into the queue, metrics, access log. YAML is a superset of JSON. */
function config(options: GatewayOptions, port: number): string {
  return JSON.stringify({
    server: { listen: `127.0.0.1:${port}`, workers: options.workers },
    backends: [{ name: 'bench', url: options.backendUrl }],
    auth: {
      enabled: true,
      pipeline: [{ name: 'main', type: 'static', static: { keys: [{ key: apiKey, user_id: 'bench' }] } }],
    },
    usage: {
      enabled: true,
      reporters: [{ name: 'ledger', type: 'database', database: { storage: 'main' } }],
    },
    storage: { databases: [{ name: 'main', driver: 'sqlite', path: join(options.folder, 'usage.db') }] },
    redis: { url: options.redis.url },
    logging: { access: { output: 'file', file: { path: join(options.folder, 'access.log') } } },
    data_dir: join(options.folder, 'data'),
  });
}

const isReady = (message: unknown): message is { ready: true } =>
  typeof message === 'object' && message !== null && 'ready' in message && message.ready === true;

/** @throws Error when the gateway ends before it is ready, or does not answer */
export async function startGateway(children: Children, options: GatewayOptions): Promise<Target> {
  const port = await freePort();
  mkdirSync(options.folder, { recursive: true });
  const file = join(options.folder, 'llmproxy.yaml');
  writeFileSync(file, config(options, port));
  const child = children.spawn(process.execPath, [options.entry, '--config', file], {
    cwd: options.folder,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  await messageFrom(child, isReady);
  const to = { port, headers: { authorization: `Bearer ${apiKey}` } };
  await untilAnswering(to);
  return {
    name: options.name,
    setup: `${options.workers} worker(s) and their primary; auth, metering, usage events through BullMQ into Redis, metrics and access log (to a file) on`,
    to,
    pids: () => processTree(child.pid ?? 0),
    companions: () => ({ redis: [options.redis.pid] }),
  };
}
