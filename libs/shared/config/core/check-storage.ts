/** What is wrong with an entry of `storage`, or with the Redis of the gateway. */
import { repeated } from './check-links.ts';
import type { Blocks, Finding } from './check-links.ts';
import { checkRedis, tlsFiles } from './check-login.ts';
import { checkDatabaseTls } from './database-tls.ts';
import type { ConfigFile } from './schema/config-file.ts';

type Storage = ConfigFile['storage'];

export function checkStorage({ storage, redis }: Blocks): Finding[] {
  return [
    ...(storage?.databases ?? []).flatMap(database),
    ...repeated(storage?.databases ?? [], ['storage', 'databases']),
    ...(storage?.caches ?? []).flatMap(cache),
    ...repeated(storage?.caches ?? [], ['storage', 'caches']),
    ...(redis === undefined ? [] : checkRedis(redis, ['redis'])),
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
    const foreign = ['dsn', ...serverParts, 'max_open_conns', 'schema', 'sslmode', 'tls'] as const;
    return useless(foreign, 'the driver is sqlite');
  }
  const foreign = entry.driver === 'mysql' ? (['path', 'schema'] as const) : (['path'] as const);
  const found = useless(foreign, `the driver is ${entry.driver}`);
  found.push(...checkDatabaseTls(entry, at), ...tlsFiles(entry.tls, [...at, 'tls']));
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
  const found = checkRedis(entry, at);
  if (entry.url === undefined && entry.addr === undefined) {
    found.push({ path: [...at, 'url'], message: 'is required, or addr' });
  }
  if (entry.cluster && (entry.db ?? 0) > 0) {
    found.push({ path: [...at, 'db'], message: 'a Redis Cluster has database 0 only', at: 'key' });
  }
  if (entry.url === undefined) return found;
  const message = 'the url says it: this would have no effect';
  const useless = (['addr', 'db'] as const).filter((key) => entry[key] !== undefined);
  return [...found, ...useless.map((key): Finding => ({ path: [...at, key], message, at: 'key' }))];
}
