/** A Redis Cluster of three masters without replicas, all its data thrown away when it ends. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { spawnRedisServer } from '@llmproxy/embedded-redis';
import type { Redis } from 'ioredis';
import { onFreePort } from './free-port.ts';
import { onRedis } from './on-redis.ts';
import type { PrivateServer, PrivateServerChoice } from './private-server.ts';
import { privateFolder } from './private-server.ts';

/** One of the three. Its slots have no replica: while it is dead nobody serves them. */
export interface ClusterMaster {
  /** On 127.0.0.1. */
  readonly port: number;
  /** Path of a unix socket of it. */
  readonly socket: string;
  /** First and last of its slots. */
  readonly slots: readonly [first: number, last: number];
  /** Ends it at once, as a crash would; its slots stay its own. */
  kill(): Promise<void>;
  /** Starts it again on its port, with the data that its settings made it keep, and waits until the cluster knows. */
  restart(): Promise<void>;
}

/** `url` names all three as seeds, with commas between. */
export interface RedisCluster extends PrivateServer {
  readonly masters: readonly ClusterMaster[];
  /** The one that serves this key. */
  masterOf(key: string): Promise<ClusterMaster>;
  /** Empties all three. */
  flush(): Promise<void>;
}

type RedisSettings = Readonly<Record<string, string>>;

export interface RedisClusterChoice extends PrivateServerChoice {
  /** Further lines of redis.conf by name, for each master; or made of its port. */
  readonly settings?: RedisSettings | ((port: number) => RedisSettings) | undefined;
}

const masterCount = 3;
const slotCount = 16_384;
const pollMs = 20;
/** Starts three redis-servers and makes them one cluster; takes about two seconds, which a new master waits. */
export async function startRedisCluster(choice: RedisClusterChoice = {}): Promise<RedisCluster> {
  const started = await Promise.allSettled(
    Array.from({ length: masterCount }, (_, index) => startMaster(index, choice)),
  );
  const masters = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const stop = async () => void (await Promise.all(masters.map((master) => master.stop())));
  try {
    for (const result of started) if (result.status === 'rejected') throw result.reason;
    await introduce(masters);
  } catch (cause) {
    await stop();
    throw cause;
  }
  return {
    url: masters.map(({ port }) => `redis://127.0.0.1:${port}`).join(','),
    masters,
    masterOf: (key) => masterOf(key, masters),
    flush: async () => void (await Promise.all(masters.map(({ ask }) => ask((redis) => redis.flushall())))),
    stop,
    unref: () => masters.forEach((master) => master.unref()),
  };
}

async function masterOf(key: string, masters: readonly OwnMaster[]): Promise<ClusterMaster> {
  for (const master of masters) {
    const slot = await master.ask((redis) => redis.cluster('KEYSLOT', key)).catch(() => undefined); // it is dead
    const serving = masters.find(
      ({ slots: [first, last] }) => slot !== undefined && first <= slot && slot <= last,
    );
    if (serving !== undefined) return serving;
  }
  throw new Error('none of the masters answers');
}

interface OwnMaster extends ClusterMaster, PrivateServer {
  ask<T>(question: (redis: Redis) => Promise<T>): Promise<T>;
}

async function startMaster(index: number, choice: RedisClusterChoice): Promise<OwnMaster> {
  const folder = await privateFolder('redis');
  const socket = join(folder, 'redis.sock');
  const url = `unix://${encodeURI(socket)}`;
  const ask: OwnMaster['ask'] = (question) => onRedis(url, question);
  const { settings } = choice;
  const further = (port: number) => (typeof settings === 'function' ? settings(port) : settings);
  const slots = [slotOf(index), slotOf(index + 1) - 1] as const;
  const start = (port: number) =>
    spawnRedisServer({
      ...choice,
      socket,
      settings: { ...settingsFor(folder, port), ...further(port) },
      stopSignal: 'SIGKILL',
      removeAfter: folder,
    });
  const { port, server: first } = await onFreePort(start).catch(async (cause: unknown) => {
    await rm(folder, { recursive: true, force: true });
    throw cause;
  });
  await ask((redis) => redis.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1));
  await ask((redis) => redis.cluster('ADDSLOTS', ...range(slots)));
  let server = first;
  let unreferenced = false;
  return {
    url,
    port,
    socket,
    slots,
    ask,
    stop: () => server.stop(),
    unref() {
      unreferenced = true;
      server.unref();
    },
    async kill() {
      process.kill(server.pid, 'SIGKILL');
      await server.ended;
    },
    async restart() {
      server = await start(port);
      if (unreferenced) server.unref();
      await untilWhole([{ ask }]);
    },
  };
}

const slotOf = (index: number): number => Math.round((index * slotCount) / masterCount);

const range = ([first, last]: readonly [number, number]): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

const settingsFor = (dir: string, port: number) => ({
  dir,
  port: String(port),
  bind: '127.0.0.1',
  save: '',
  appendonly: 'no',
  'cluster-enabled': 'yes',
  'cluster-node-timeout': '2000',
  // The slots of the others are served on while a master is dead.
  'cluster-require-full-coverage': 'no',
});

async function introduce(masters: readonly OwnMaster[]): Promise<void> {
  const [first, ...others] = masters;
  for (const { port } of others) await first?.ask((redis) => redis.cluster('MEET', '127.0.0.1', port));
  await untilWhole(masters);
}

/** Until each of them serves its slots and sees all three. */
async function untilWhole(masters: readonly Pick<OwnMaster, 'ask'>[]): Promise<void> {
  for (const { ask } of masters) {
    while (!(await ask(seesAll))) await delay(pollMs);
  }
}

async function seesAll(redis: Redis): Promise<boolean> {
  const info = String(await redis.cluster('INFO'));
  return info.includes('cluster_state:ok') && info.includes(`cluster_slots_ok:${slotCount}`);
}
