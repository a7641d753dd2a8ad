/** What an operator hears: ioredis reports every failed attempt, we report changes of state only. */
import type { Cluster, Redis } from 'ioredis';
import { redactRedisUrl, type RedisTarget } from './target.ts';

export type RedisLog = (level: 'info' | 'warn', message: string) => void;

interface Told extends RedisTarget {
  readonly log?: RedisLog | undefined;
}

export function tellServer(redis: Redis, { url, log = () => undefined }: Told): void {
  const server = redactRedisUrl(url);
  const { once, isConnected } = changes(log);
  redis.on('ready', () => once('info', `connected to Redis at ${server}`));
  redis.on('reconnecting', () => {
    if (isConnected()) once('warn', `lost the connection to Redis at ${server}; reconnecting`);
  });
  redis.on('error', (error: NodeJS.ErrnoException) => once('warn', `Redis at ${server}: ${textOf(error)}`));
}

/** Of the cluster as a whole, and of each server that is away while others answer. */
export function tellCluster(cluster: Cluster, { url, log = () => undefined }: Told): void {
  const servers = redactRedisUrl(url);
  const { once, isConnected } = changes(log);
  let latest: string | undefined;
  const away = new Set<string>();
  cluster.on('ready', () => {
    away.clear();
    once('info', `connected to the Redis Cluster at ${servers}`);
  });
  cluster.on('refresh', () => (latest = undefined)); // one of them answers
  cluster.on('reconnecting', () => {
    if (isConnected()) once('warn', `lost the connection to the Redis Cluster at ${servers}; reconnecting`);
    else once('warn', `Redis Cluster at ${servers}: ${latest ?? 'it serves nobody; CLUSTER INFO tells why'}`);
  });
  cluster.on('error', () => once('warn', `Redis Cluster at ${servers}: ${latest ?? 'no server answers'}`));
  cluster.on('node error', (error: Error, server: string) => {
    // What ioredis says of a question it gave up; the reason has been told before.
    if (error.message !== 'Connection is closed.') latest = `${server}: ${textOf(error)}`;
    if (cluster.status !== 'ready' || away.has(server)) return;
    away.add(server);
    log('warn', `${server} of the Redis Cluster: ${textOf(error)}`);
  });
  cluster.on('+node', (node: Redis) => {
    const server = `${node.options.host}:${node.options.port}`;
    node.on('ready', () => {
      if (away.delete(server)) log('info', `${server} of the Redis Cluster is back`);
    });
  });
}

function changes(log: RedisLog) {
  let told = '';
  return {
    once(level: 'info' | 'warn', message: string) {
      if (message !== told) log(level, message);
      told = message;
    },
    isConnected: () => told.startsWith('connected'),
  };
}

/** Only the message: the error object of a refused login carries the password among its arguments. */
const textOf = (error: NodeJS.ErrnoException): string => error.message || error.code || error.name;
