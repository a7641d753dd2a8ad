/** A place of its own for each test, on the server of the test run or, in a single spec, on one started for it. */
import { randomUUID } from 'node:crypto';
import mysql from 'mysql2/promise';
import pg from 'pg';
import { onRedis } from './on-redis.ts';
import { startRedisCluster, type RedisCluster } from './redis-cluster.ts';
import type { ServiceVariable } from './services.ts';
import { startByVariable } from './services.ts';

/** Gone, with all that was put there, when it is disposed of: `await using redis = await redisForTests()`. */
export interface PlaceForTest extends AsyncDisposable {
  readonly url: string;
}

/** Names its Redis as `connectRedis` takes it. */
export interface RedisForTest extends PlaceForTest {
  readonly cluster: boolean;
}

/**
 * Servers this process started because the environment named none. They end with the process (see
 * startServerProcess), so that a spec file with fifty tests starts one and nobody has to stop it.
 */
const own = new Map<ServiceVariable, Promise<string>>();

function serverUrl(variable: ServiceVariable): Promise<string> {
  const given = process.env[variable];
  if (given !== undefined) return Promise.resolve(given);
  const running = own.get(variable) ?? startOwn(variable);
  own.set(variable, running);
  return running;
}

async function startOwn(variable: ServiceVariable): Promise<string> {
  const server = await startByVariable[variable]();
  server.unref();
  return server.url;
}

/** An empty logical database. Published messages are not confined to it: they cross databases. */
export async function redisForTests(): Promise<RedisForTest> {
  const server = await serverUrl('LLMPROXY_TEST_REDIS_URL');
  const database = await onRedis(server, async (redis) => {
    const [, databases] = (await redis.config('GET', 'databases')) as [string, string];
    const taken = await redis.incr('llmproxy-tests:databases-taken');
    return 1 + (taken % (Number(databases) - 1)); // database 0 holds the counter
  });
  const url = withRedisDatabase(server, database);
  const empty = () => onRedis(url, (redis) => redis.flushdb());
  await empty();
  return { url, cluster: false, [Symbol.asyncDispose]: async () => void (await empty()) };
}

/**
 * An empty Redis Cluster of three masters. A cluster has one database only, so each process that runs specs starts one
 * of its own, when it is first asked for; its tests take turns.
 */
export async function redisClusterForTests(): Promise<RedisForTest> {
  ownCluster ??= startRedisCluster();
  const cluster = await ownCluster;
  cluster.unref();
  await cluster.flush();
  return { url: cluster.url, cluster: true, [Symbol.asyncDispose]: () => cluster.flush() };
}

let ownCluster: Promise<RedisCluster> | undefined;

/** An empty database of PostgreSQL. */
export async function postgresForTests(): Promise<PlaceForTest> {
  const server = await serverUrl('LLMPROXY_TEST_POSTGRES_URL');
  const name = freshName();
  await onPostgres(server, `CREATE DATABASE ${name}`);
  return {
    url: withPath(server, name),
    [Symbol.asyncDispose]: () => onPostgres(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  };
}

/** An empty database of MariaDB. */
export async function mariadbForTests(): Promise<PlaceForTest> {
  const server = await serverUrl('LLMPROXY_TEST_MARIADB_URL');
  const name = freshName();
  await onMariadb(server, `CREATE DATABASE ${name}`);
  return {
    url: withPath(server, name),
    [Symbol.asyncDispose]: () => onMariadb(server, `DROP DATABASE IF EXISTS ${name}`),
  };
}

const freshName = () => `test_${randomUUID().replaceAll('-', '')}`;

function withPath(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}

function withRedisDatabase(url: string, database: number): string {
  if (!url.startsWith('unix:')) return withPath(url, String(database));
  const changed = new URL(url);
  changed.searchParams.set('db', String(database));
  return changed.href;
}

async function onPostgres(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

async function onMariadb(url: string, statement: string): Promise<void> {
  const connection = await mysql.createConnection(url);
  try {
    await connection.query(statement);
  } finally {
    await connection.end();
  }
}
