/** The gateway and the worker as their own processes, on a config made for one test. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { startApp, type Child } from './child.ts';

/** The key that clients present unless a test says otherwise. */
export const testKey = 'sk-e2e-0123456789abcdefghij';

export interface Setup {
  /** Config, data and logs go here. */
  readonly folder: string;
  readonly redisUrl: string;
  readonly backends: readonly Readonly<Record<string, unknown>>[];
  /** Laid over the default config, block by block; a list is taken as it is. */
  readonly config?: Readonly<Record<string, Readonly<Record<string, unknown>> | readonly unknown[]>>;
}

export interface Gateway extends Child {
  /** `http://127.0.0.1:<port>` */
  readonly address: string;
  /** The management listener. */
  readonly management: string;
  /** Pids of its worker processes. */
  workers(): number[];
}

/** Two workers, a management listener, one key, usage into SQLite, everything logged. */
export function writeConfig({ folder, redisUrl, backends, config = {} }: Setup): string {
  const defaults: Record<string, Record<string, unknown>> = {
    server: { listen: '127.0.0.1:0', workers: 2 },
    management: { listen: '127.0.0.1:0' },
    auth: {
      pipeline: [{ name: 'keys', type: 'static', static: { keys: [{ key: testKey, user_id: 'tester' }] } }],
    },
    usage: { reporters: [{ name: 'sql', type: 'database', database: { storage: 'main' } }] },
    storage: { databases: [{ name: 'main', driver: 'sqlite', path: databaseIn(folder) }] },
    redis: { url: redisUrl },
    log: { level: 'debug' },
  };
  const blocks = Object.fromEntries(
    [...new Set([...Object.keys(defaults), ...Object.keys(config)])].map((name) => [
      name,
      Array.isArray(config[name]) ? config[name] : { ...defaults[name], ...config[name] },
    ]),
  );
  const path = join(folder, 'config.yaml');
  writeFileSync(path, stringify({ ...blocks, backends, data_dir: join(folder, 'data') }));
  return path;
}

export const databaseIn = (folder: string): string => join(folder, 'usage.db');

/** Resolves when all of its workers listen. */
export async function startGateway(setup: Setup): Promise<Gateway> {
  const child = startApp('gateway', ['--config', writeConfig(setup)], setup.folder);
  try {
    const { address, management } = (await child.ready) as { address: string; management: string };
    return Object.assign(child, {
      address,
      management,
      workers: () => child.tree().filter((pid) => pid !== child.pid),
    });
  } catch (cause) {
    await child[Symbol.asyncDispose]();
    throw cause;
  }
}

/** The worker app on the config that a gateway was started with. */
export const startWorker = (folder: string): Promise<Child> => startBeside('worker', folder);

/** The key lookup on the config that a gateway was started with. */
export const startKeyLookup = (folder: string): Promise<Child> => startBeside('key-lookup', folder);

async function startBeside(app: 'worker' | 'key-lookup', folder: string): Promise<Child> {
  const child = startApp(app, ['--config', join(folder, 'config.yaml')], folder);
  try {
    await child.ready;
    return child;
  } catch (cause) {
    await child[Symbol.asyncDispose]();
    throw cause;
  }
}
