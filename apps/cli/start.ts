/** `llmproxy start`: the whole gateway on one machine. */
import { existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { listenForStop } from '@llmproxy/app-life';
import { loadConfig, type Config } from '@llmproxy/config';
import { startEmbeddedRedis } from '@llmproxy/embedded-redis';
import { isSocketAnswered } from '@llmproxy/telemetry';
import { tellFailure } from './arguments.ts';
import { startChild, type Child, type ChildOptions } from './children.ts';
import { demoConfig, type DemoConfig } from './demo-config.ts';
import { banner } from './banner.ts';
import { noteEmbeddedRedis } from './redis-of.ts';
import { startArguments, type StartArguments } from './start-arguments.ts';

const say = (text: string): void => void process.stderr.write(`llmproxy: ${text}\n`);

/** Longer than any of the processes takes to end by itself; the gateway may drain before. */
const stopTimeoutMs = 25_000;
const restartWaitMs = 1_000;
const remindEveryMs = 10_000;

/** Things to stop, the first-started last. */
interface Running {
  readonly stoppers: { name: string; stop(): Promise<void>; kill?(): void }[];
  /** Aborted when all is to stop: nothing is started any more. */
  readonly stopping: AbortSignal;
  /** @param failure why, when nobody asked for it */
  stop(failure?: string): void;
}

/**
 * Runs until SIGINT or SIGTERM, also one that comes while the parts are starting; returns the exit code. A second one
 * kills what has not ended by then. What did not start, and why, is told before the rest is stopped.
 * @throws UsageError
 */
export async function start(args: string[]): Promise<number> {
  const options = startArguments(args);
  const { running, ended } = untilToldToStop();
  const { stoppers } = running;
  try {
    const started = startAll(options, running);
    started.catch(() => undefined); // told to stop meanwhile, nobody asks what became of it
    const failure = await Promise.race([ended, started.then(() => ended)]);
    if (failure) say(failure);
    return failure ? 1 : 0;
  } catch (error) {
    return tellFailure(error); // now: behind what stopping says it would be overlooked
  } finally {
    running.stop();
    for (const { name, stop } of stoppers.reverse()) {
      say(`stopping ${name}…`);
      await stop().catch((error: unknown) => say(`${name}: ${String(error)}`));
    }
    say('stopped.');
  }
}

async function startAll(options: StartArguments, running: Running): Promise<void> {
  const { path, demo } = configFor(options);
  const env: Record<string, string> = {};
  const run = (child: Omit<Supervised, 'env'>) => superviseChild({ ...child, env }, running);

  if (demo) {
    say('no config file given: starting a demo backend');
    env['LLMPROXY_DEMO_URL'] = (await run({ app: 'demo-backend', args: [] })).url ?? '';
  } else say(`config file: ${path}`);
  const config = loadConfig(path, { ...process.env, ...env });
  await refuseIfInUse(config);
  if (config.redis.url === undefined) env['LLMPROXY_REDIS_URL'] = await embedRedis(config, running);

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
  const gateway = await run({
    app: 'gateway',
    args: [...common, ...listen, ...peers],
    drainMs: config.server.drain_timeout,
  });
  process.stderr.write(banner({ address: gateway.address ?? '', config, configPath: path, demo }));
}

function besideTheGateway({ auth }: Config): ('worker' | 'scheduler' | 'key-lookup')[] {
  const readsSql = auth.enabled && auth.pipeline.some(({ type }) => type === 'database');
  return readsSql ? ['key-lookup', 'worker', 'scheduler'] : ['worker', 'scheduler'];
}

function configFor({ config, dataDir }: StartArguments): { path: string; demo: DemoConfig | undefined } {
  if (config !== undefined) return { path: config, demo: undefined };
  if (existsSync('config.yaml')) return { path: 'config.yaml', demo: undefined };
  const demo = demoConfig(resolve(dataDir));
  return { path: demo.path, demo };
}

interface Supervised extends Omit<ChildOptions, 'onLost'> {
  /** What it may finish before it closes. */
  drainMs?: number;
}

/** Starts a child and, should it end by itself later, starts it again; before it was ever ready that is a failure. */
async function superviseChild({ drainMs = 0, ...options }: Supervised, running: Running) {
  const { stoppers, stopping, stop } = running;
  stopping.throwIfAborted();
  let current: Child;
  let everReady = false;
  const begin = (): Child =>
    startChild({
      ...options,
      onLost: (code) => {
        if (stopping.aborted || !everReady) return;
        if (options.app === 'gateway')
          return stop(`the gateway ended by itself (exit code ${code ?? 'none'})`);
        say(`${options.app} ended by itself (exit code ${code ?? 'none'}); starting it again`);
        setTimeout(() => {
          if (!stopping.aborted) current = begin();
        }, restartWaitMs);
      },
    });
  current = begin();
  stoppers.push({
    name: options.app,
    stop: () => current.stop(drainMs + stopTimeoutMs),
    kill: () => current.kill(),
  });
  const remind = (): void => say(`still waiting for the ${options.app}: what it misses is in its log lines`);
  const reminder = setInterval(remind, remindEveryMs);
  const ready = await current.ready.finally(() => clearInterval(reminder));
  everReady = true;
  return ready;
}

async function embedRedis(config: Config, { stoppers, stopping }: Running): Promise<string> {
  stopping.throwIfAborted();
  say('starting an embedded Redis (the first time it may have to be fetched)…');
  const redis = await startEmbeddedRedis({
    dataDir: join(config.data_dir, 'redis'),
    onProgress: say,
  });
  // Told to stop meanwhile, this process ends without it, and the server ends with this process.
  stoppers.push({ name: 'Redis', stop: () => redis.stop() });
  noteEmbeddedRedis(config.data_dir, redis.url);
  return redis.url;
}

/** Two on one folder would write to the same files and answer on the same sockets. */
async function refuseIfInUse({ data_dir: dataDir }: Config): Promise<void> {
  if (!(await isSocketAnswered(join(dataDir, 'run', 'worker.sock')))) return;
  throw new Error(
    `another "llmproxy start" runs on the data folder ${dataDir}. Stop it, or give this one a folder and an address of ` +
      'its own: data_dir and server.listen in its config (without a config: --data-dir and --listen).',
  );
}

// sun_path holds 108 bytes on Linux and 104 elsewhere.
const socketFolderMax = 80;

function socketFolder(config: Config): string {
  const beside = join(config.data_dir, 'run');
  if (beside.length > socketFolderMax) return mkdtempSync(join(tmpdir(), 'llmproxy-'));
  mkdirSync(beside, { recursive: true, mode: 0o700 });
  return beside;
}

/** `ended` resolves when told to stop, with why when that is a failure. */
function untilToldToStop(): { running: Running; ended: Promise<string | undefined> } {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const stopping = new AbortController();
  const stop = (failure?: string): void => {
    stopping.abort(new Error('told to stop'));
    resolve(failure);
  };
  const running: Running = { stoppers: [], stopping: stopping.signal, stop };
  listenForStop({
    first: () => stop(),
    again: () => {
      say('told to stop again: ending what still runs');
      for (const { kill } of running.stoppers) kill?.();
    },
    signals: ['SIGINT', 'SIGTERM', 'SIGHUP'],
  });
  return { running, ended: promise };
}
