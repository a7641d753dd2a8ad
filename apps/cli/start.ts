/** `llmproxy start`: the whole gateway on one machine. */
import { existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { loadConfig, type Config } from '@llmproxy/config';
import { startEmbeddedRedis } from '@llmproxy/embedded-redis';
import { startChild, type Child, type ChildOptions } from './children.ts';
import { demoConfig, type DemoConfig } from './demo-config.ts';
import { banner } from './banner.ts';
import { noteEmbeddedRedis } from './redis-of.ts';

const say = (text: string): void => void process.stderr.write(`llmproxy: ${text}\n`);

const stopTimeoutMs = 15_000;
const restartWaitMs = 1_000;

/** Things to stop, the first-started last. */
type Stoppers = { name: string; stop(): Promise<void> }[];

/**
 * Runs until SIGINT or SIGTERM; returns the exit code.
 * @throws ConfigError, or Error naming the part that did not start
 */
export async function start(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: 'string', short: 'c' },
      listen: { type: 'string' },
      'data-dir': { type: 'string', default: 'data' },
    },
  });
  const stoppers: Stoppers = [];
  const ended = untilSignal();
  try {
    await startAll({ ...values, dataDir: values['data-dir'] }, stoppers, ended.fail);
    const failure = await ended.promise;
    if (failure) say(failure);
    return failure ? 1 : 0;
  } finally {
    for (const { name, stop } of stoppers.reverse()) {
      say(`stopping ${name}…`);
      await stop().catch((error: unknown) => say(`${name}: ${String(error)}`));
    }
    say('stopped.');
  }
}

interface StartOptions {
  config?: string | undefined;
  listen?: string | undefined;
  dataDir: string;
}

async function startAll(
  options: StartOptions,
  stoppers: Stoppers,
  fail: (why: string) => void,
): Promise<void> {
  const { path, demo } = configFor(options);
  const env: Record<string, string> = {};
  const run = (child: Omit<ChildOptions, 'onLost' | 'env'>) =>
    superviseChild({ ...child, env }, stoppers, fail);

  if (demo) {
    say('no config file given: starting a demo backend');
    env['LLMPROXY_DEMO_URL'] = (await run({ app: 'demo-backend', args: [] })).url ?? '';
  } else say(`config file: ${path}`);
  const config = loadConfig(path, { ...process.env, ...env });
  if (config.redis.url === undefined) env['LLMPROXY_REDIS_URL'] = await embedRedis(config, stoppers);

  const sockets = socketFolder(config);
  const management = (app: string) => `unix:${join(sockets, `${app}.sock`)}`;
  const common = ['--config', path];
  const beside = besideTheGateway(config);
  say(`starting ${beside.join(', ')} and gateway…`);
  await Promise.all(
    beside.map((app) => run({ app, args: [...common, '--management-listen', management(app)] })),
  );
  const peers = beside.flatMap((app) => ['--metrics-peer', management(app)]);
  const listen = options.listen === undefined ? [] : ['--listen', options.listen];
  const gateway = await run({ app: 'gateway', args: [...common, ...listen, ...peers] });
  process.stderr.write(banner({ address: gateway.address ?? '', config, configPath: path, demo }));
}

function besideTheGateway({ auth }: Config): ('worker' | 'scheduler' | 'key-lookup')[] {
  const readsSql = auth.enabled && auth.pipeline.some(({ type }) => type === 'database');
  return readsSql ? ['key-lookup', 'worker', 'scheduler'] : ['worker', 'scheduler'];
}

function configFor({ config, dataDir }: StartOptions): { path: string; demo: DemoConfig | undefined } {
  if (config !== undefined) return { path: config, demo: undefined };
  if (existsSync('config.yaml')) return { path: 'config.yaml', demo: undefined };
  const demo = demoConfig(resolve(dataDir));
  return { path: demo.path, demo };
}

/** Starts a child and, should it end by itself later, starts it again; before it was ever ready that is a failure. */
async function superviseChild(
  options: Omit<ChildOptions, 'onLost'>,
  stoppers: Stoppers,
  fail: (why: string) => void,
) {
  let current: Child;
  let everReady = false;
  let stopped = false;
  const begin = (): Child =>
    startChild({
      ...options,
      onLost: (code) => {
        if (stopped || !everReady) return;
        if (options.app === 'gateway')
          return fail(`the gateway ended by itself (exit code ${code ?? 'none'})`);
        say(`${options.app} ended by itself (exit code ${code ?? 'none'}); starting it again`);
        setTimeout(() => {
          if (!stopped) current = begin();
        }, restartWaitMs);
      },
    });
  current = begin();
  const timeoutMs = options.app === 'gateway' ? 10 * 60_000 : stopTimeoutMs;
  stoppers.push({
    name: options.app,
    stop: () => {
      stopped = true;
      return current.stop(timeoutMs); // the gateway ends by itself after its drain_timeout
    },
  });
  const ready = await current.ready;
  everReady = true;
  return ready;
}

async function embedRedis(config: Config, stoppers: Stoppers): Promise<string> {
  say('starting an embedded Redis (the first time it may have to be fetched)…');
  const redis = await startEmbeddedRedis({
    dataDir: join(config.data_dir, 'redis'),
    onProgress: say,
  });
  stoppers.push({ name: 'Redis', stop: () => redis.stop() });
  noteEmbeddedRedis(config.data_dir, redis.url);
  return redis.url;
}

// sun_path holds 108 bytes on Linux and 104 elsewhere.
const socketFolderMax = 80;

function socketFolder(config: Config): string {
  const beside = join(config.data_dir, 'run');
  if (beside.length > socketFolderMax) return mkdtempSync(join(tmpdir(), 'llmproxy-'));
  mkdirSync(beside, { recursive: true, mode: 0o700 });
  return beside;
}

function untilSignal() {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(undefined));
  return { promise, fail: (why: string) => resolve(why) };
}
