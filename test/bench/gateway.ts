import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageFrom } from './children.ts';
import type { Children } from './children.ts';
import { processTree } from './proc.ts';
import { freePort, untilAnswering } from './target.ts';
import type { Target } from './target.ts';

/** `usual`: auth on, nothing limited. The next two tell what auth and limits cost; with `hook` Lua judges each key. */
export type GatewayVariant = 'usual' | 'no auth' | 'all limits' | 'hook';

export interface GatewayOptions {
  readonly variant: GatewayVariant;
  /** The built gateway, `dist/apps/gateway/main.js`. */
  readonly entry: string;
  readonly workers: number;
  readonly backendUrl: string;
  readonly redis: { readonly url: string; readonly pid: number };
  /** Config, access log and data go here. */
  readonly folder: string;
}

const apiKey = 'sk-bench-0123456789abcdef';

// Limits that are reckoned with for every request, and never reached.
const most = 1_000_000_000;
const limits = {
  requests_per_second: most,
  requests_per_minute: most,
  tokens_per_minute: most * 1000,
  max_concurrent: most,
};

/** Lets everybody in, and never ends for who asks for that. */
const script = 'if request.headers["X-Runaway"] then while true do end end return true';

const settingsOf: Readonly<Record<GatewayVariant, { auth: object; more: object }>> = {
  usual: { auth: authOf({}), more: {} },
  'no auth': { auth: { enabled: false }, more: {} },
  hook: { auth: { enabled: true, pipeline: [{ name: 'main', type: 'lua', lua: { script } }] }, more: {} },
  'all limits': {
    auth: authOf({ total_quota: most * 1000, quota_reset_period: 'monthly' }),
    more: { rate_limit: { global: limits, per_key: limits, per_ip: limits, per_backend: limits } },
  },
};

function authOf(terms: object): object {
  const keys = [{ key: apiKey, user_id: 'bench', ...terms }];
  return { enabled: true, pipeline: [{ name: 'main', type: 'static', static: { keys } }] };
}

/** Metering, usage events into the queue, metrics and access log on, whatever the variant. YAML is a superset of JSON. */
function config(options: GatewayOptions, port: number): string {
  return JSON.stringify({
    server: { listen: `127.0.0.1:${port}`, workers: options.workers },
    backends: [{ name: 'bench', url: options.backendUrl }],
    auth: settingsOf[options.variant].auth,
    ...settingsOf[options.variant].more,
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
  const name = options.variant === 'usual' ? 'llmproxy' : `llmproxy, ${options.variant}`;
  return {
    name,
    setup: `${options.workers} worker(s) and their primary; ${setups[options.variant]}, metering, usage events through BullMQ into Redis, metrics and access log (to a file) on`,
    to,
    pids: () => processTree(child.pid ?? 0),
    companions: () => ({ redis: [options.redis.pid] }),
  };
}

const setups: Readonly<Record<GatewayVariant, string>> = {
  usual: 'auth',
  'no auth': 'no auth; else the same:',
  hook: 'a Lua decision about each key',
  'all limits':
    'auth, RPS, RPM, TPM and concurrency limited for all, per key, per address and per backend, a token quota',
};
