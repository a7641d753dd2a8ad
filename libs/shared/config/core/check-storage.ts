/** What is wrong with an entry of `storage`, or with the Redis of the gateway. */
import { repeated } from './check-links.ts';
import type { Blocks, Finding } from './check-links.ts';
import { renderPath } from './problem.ts';
import type { Path } from './read-yaml.ts';
import type { ConfigFile } from './schema/config-file.ts';
import { redisServers } from './schema/leaves.ts';

type Storage = ConfigFile['storage'];

export function checkStorage({ storage, redis }: Blocks): Finding[] {
  return [
    ...(storage?.databases ?? []).flatMap(database),
    ...repeated(storage?.databases ?? [], ['storage', 'databases']),
    ...(storage?.caches ?? []).flatMap(cache),
    ...repeated(storage?.caches ?? [], ['storage', 'caches']),
    ...(redis === undefined ? [] : redisTarget(redis, ['redis'])),
  ];
}

type Database = Storage['databases'][number];
const serverParts = ['host', 'port', 'user', 'password', 'database'] as const;

function database(entry: Database, i: number): Finding[] {
  const at = ['storage', 'databases', i];
  const given = (key: keyof Database): boolean => entry[key] !== undefined;
  const useless = (keys: readonly (keyof Database)[], why: string): Finding[] =>
    keys
      .filter(given)
      .map((key) => ({ path: [...at, key], message: `${why}: this would have no effect`, at: 'key' }));
  if (entry.driver === 'sqlite') {
    return useless(['dsn', ...serverParts, 'max_open_conns'], 'the driver is sqlite');
  }
  const found = useless(['path'], `the driver is ${entry.driver}`);
  if (entry.dsn === undefined) {
    const missing = (['host', 'database'] as const).filter((key) => !given(key));
    const message = `is required for ${entry.driver}, or a dsn`;
    if (given('password') && !given('user')) {
      found.push({ path: [...at, 'user'], message: 'is required with a password' });
    }
    return [...found, ...missing.map((key) => ({ path: [...at, key], message }))];
  }
  if (!entry.dsn.startsWith(entry.driver)) {
    found.push({ path: [...at, 'dsn'], message: `the driver is ${entry.driver}, the URL is of another` });
  }
  return [...found, ...useless(serverParts, 'the dsn says it all')];
}

type Cache = Storage['caches'][number];

function cache(entry: Cache, i: number): Finding[] {
  const at = ['storage', 'caches', i];
  const found = redisTarget(entry, at);
  if (entry.url === undefined && entry.addr === undefined) {
    found.push({ path: [...at, 'url'], message: 'is required, or addr' });
  }
  if (entry.cluster && (entry.db ?? 0) > 0) {
    found.push({ path: [...at, 'db'], message: 'a Redis Cluster has database 0 only', at: 'key' });
  }
  if (entry.url === undefined) return found;
  const message = 'the url says it all: this would have no effect';
  const useless = (['addr', 'password', 'db'] as const).filter((key) => entry[key] !== undefined);
  return [...found, ...useless.map((key): Finding => ({ path: [...at, key], message, at: 'key' }))];
}

interface Target {
  readonly url?: string | undefined;
  readonly cluster: boolean;
}

/** A URL of several servers, a socket or a database number, where the kind of Redis does not have it. */
function redisTarget(target: Target, at: Path): Finding[] {
  const message = redisTargetProblem(target, at);
  return message === undefined ? [] : [{ path: [...at, 'url'], message }];
}

/**
 * Why a Redis cannot be reached this way; undefined: it can, as far as the words tell.
 * @param at the block that says `cluster`
 */
export function redisTargetProblem({ url, cluster }: Target, at: Path): string | undefined {
  if (url === undefined) return undefined;
  const servers = redisServers(url);
  if (!cluster) {
    return servers.length > 1
      ? `several servers are a Redis Cluster: set ${renderPath([...at, 'cluster'])} to true`
      : undefined;
  }
  if (servers.some((server) => server.startsWith('unix:'))) {
    return 'a Redis Cluster is not reached over a socket: write redis://host:6379';
  }
  const elsewhere = servers.some((server) => !/^(rediss?:\/\/)?[^/]+\/?0?(\?.*)?$/.test(server));
  return elsewhere ? 'a Redis Cluster has database 0 only: remove the number' : undefined;
}
