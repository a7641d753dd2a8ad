import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageFrom } from '../bench/children.ts';
import { startBenchRedis } from '../bench/gateway-parts.ts';
import { processTree } from '../bench/proc.ts';
import type { Check, Place, Scenario } from './scenario.ts';

const rounds = 84;
/** Nothing is open that a drain would wait for. */
const endMsMax = 10_000;

/** Ways to end a gateway; each is done in turn. `workers` are its worker processes. */
const endings: Readonly<Record<string, (gateway: ChildProcess, workers: readonly number[]) => void>> = {
  'told to stop': (gateway) => gateway.kill('SIGTERM'),
  'told twice at once': (gateway) => {
    gateway.kill('SIGTERM');
    gateway.kill('SIGINT');
  },
  'its workers killed just before': (gateway, workers) => {
    for (const pid of workers) process.kill(pid, 'SIGKILL');
    gateway.kill('SIGTERM');
  },
  'its workers killed just after': (gateway, workers) => {
    gateway.kill('SIGTERM');
    for (const pid of workers) process.kill(pid, 'SIGKILL');
  },
  'asleep when its workers ended': (gateway, workers) => {
    gateway.kill('SIGSTOP');
    for (const pid of workers) process.kill(pid, 'SIGTERM');
    gateway.kill('SIGTERM');
    setTimeout(() => gateway.kill('SIGCONT'), 200);
  },
  'its workers told by somebody else as well': (gateway, workers) => {
    for (const pid of workers) process.kill(pid, 'SIGTERM');
    gateway.kill('SIGTERM');
  },
  'its parent gone': (gateway) => gateway.disconnect(),
};

function writeConfig({ folder }: Place, redisUrl: string): string {
  const path = join(folder, 'exits.yaml');
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    path,
    JSON.stringify({
      server: { listen: '127.0.0.1:0', workers: 2 },
      backends: [{ name: 'nowhere', url: 'http://127.0.0.1:9' }],
      auth: { enabled: false },
      rate_limit: { per_ip: { requests_per_minute: 1000 } },
      usage: { reporters: [{ name: 'ledger', type: 'database', database: { storage: 'main' } }] },
      storage: { databases: [{ name: 'main', driver: 'sqlite', path: join(folder, 'usage.db') }] },
      redis: { url: redisUrl },
      data_dir: join(folder, 'data'),
    }),
  );
  return path;
}

interface Ending {
  readonly how: string;
  readonly ms: number;
  /** Exit code or signal; undefined: it was still there after `endMsMax`. */
  readonly exit: string | undefined;
  /** Processes of it that outlived it. */
  readonly left: number;
}

const isReady = (message: unknown): message is { ready: true } =>
  typeof message === 'object' && message !== null && 'ready' in message;

async function oneRound(place: Place, config: string, round: number): Promise<Ending> {
  const [how, end] = Object.entries(endings)[round % Object.keys(endings).length] ?? ['', () => undefined];
  const entry = join(place.repoRoot, 'dist/apps/gateway/main.js');
  const gateway = place.children.spawn(process.execPath, [entry, '--config', config], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  await messageFrom(gateway, isReady);
  const tree = processTree(gateway.pid ?? 0);
  const exited = once(gateway, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const startMs = performance.now();
  end(gateway, tree.slice(1));
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), endMsMax)));
  const ended = await Promise.race([exited, late]);
  clearTimeout(timer);
  const ms = performance.now() - startMs;
  const left = tree.filter((pid) => processTree(pid).length > 0);
  for (const pid of left) process.kill(pid, 'SIGKILL');
  return { how, ms, exit: ended && String(ended[0] ?? ended[1]), left: left.length };
}

async function run(place: Place): Promise<readonly Check[]> {
  const redis = await startBenchRedis(place.children, join(place.folder, 'redis'));
  const config = writeConfig(place, redis.url);
  const found: Ending[] = [];
  for (let round = 0; round < rounds; round++) {
    found.push(await oneRound(place, config, round));
    if (found.length % 21 === 0)
      place.say(`${found.length} of ${rounds} gateways have been started and ended`);
  }
  const bad = found.filter(({ exit, left }) => exit !== '0' || left > 0);
  const slowest = found.toSorted((a, b) => b.ms - a.ms)[0];
  const told = bad.map(({ how, exit, left }) => `${how}: ${exit ?? 'never ended'}, ${left} left`);
  return [
    {
      text: `each of ${rounds} gateways ends with 0 and leaves no process behind, in ${Object.keys(endings).length} ways to end`,
      ok: bad.length === 0,
      found: bad.length === 0 ? 'all of them' : `${bad.length} did not (${[...new Set(told)].join('; ')})`,
    },
    {
      text: `none of them takes longer than ${endMsMax / 1000} s`,
      ok: slowest !== undefined && slowest.ms < endMsMax,
      found: slowest === undefined ? 'none' : `the slowest ${slowest.ms.toFixed(0)} ms (${slowest.how})`,
    },
  ];
}

export const exits: Scenario = {
  name: 'exits',
  shows: 'a gateway that is to end does, whatever happens to its processes at that moment',
  run,
};
