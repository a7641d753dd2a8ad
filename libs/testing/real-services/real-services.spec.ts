import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultCacheDir } from '@llmproxy/debian-packages';
import { Cluster, type Redis } from 'ioredis';
import mysql from 'mysql2/promise';
import pg from 'pg';
import { afterEach, expect, test, vi } from 'vitest';
import {
  debianNginx,
  mariadbForTests,
  postgresForTests,
  redisClusterForTests,
  redisForTests,
  startMariadb,
  startPostgres,
  startRedis,
  startRedisCluster,
  startServicesForTests,
} from './index.ts';
import { onRedis } from './on-redis.ts';

// On a machine that has never run the tests, the first use of each server downloads it.
vi.setConfig({ testTimeout: 180_000 });

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  vi.unstubAllEnvs();
});

async function postgresQuery(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows;
  } finally {
    await client.end();
  }
}

async function mariadbQuery(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const connection = await mysql.createConnection(url);
  try {
    return (await connection.query(statement))[0] as Record<string, unknown>[];
  } finally {
    await connection.end();
  }
}

/** The folder a server keeps everything in: its socket lies there. */
function folderOf(url: string): string {
  const { pathname, searchParams } = new URL(url);
  return searchParams.get('host') ?? dirname(searchParams.get('socketPath') ?? pathname);
}

test('PostgreSQL runs from unpacked packages, speaks UTF-8 and GMT, and leaves nothing behind', async () => {
  const server = await startPostgres();
  cleanups.push(() => server.stop());
  expect(
    await postgresQuery(server.url, `SELECT 'ü→漢' AS text, current_setting('TimeZone') AS zone`),
  ).toEqual([{ text: 'ü→漢', zone: 'GMT' }]);
  await server.stop();
  expect(existsSync(folderOf(server.url))).toBe(false);
});

test('MariaDB runs from unpacked packages, speaks UTF-8 and has its messages, and leaves nothing behind', async () => {
  const server = await startMariadb();
  cleanups.push(() => server.stop());
  expect(await mariadbQuery(server.url, `SELECT 'ü→漢' AS text, @@character_set_server AS charset`)).toEqual([
    { text: 'ü→漢', charset: 'utf8mb4' },
  ]);
  await expect(mariadbQuery(server.url, 'SELECT * FROM missing')).rejects.toThrow(
    "Table 'mysql.missing' doesn't exist",
  );
  await server.stop();
  expect(existsSync(folderOf(server.url))).toBe(false);
});

test('Redis leaves nothing behind', async () => {
  const server = await startRedis();
  cleanups.push(() => server.stop());
  expect(await onRedis(server.url, (redis) => redis.ping())).toBe('PONG');
  await server.stop();
  expect(existsSync(folderOf(server.url))).toBe(false);
});

test.runIf(process.getuid?.() === 0)(
  'a server starts from a cache folder that only root may enter',
  async () => {
    const closed = await mkdtemp(join(tmpdir(), 'llmproxy-closed-'));
    cleanups.push(() => rm(closed, { recursive: true, force: true }));
    // What unpacking into it would give, without downloading again.
    const warm = await startMariadb();
    await warm.stop();
    await mkdir(join(closed, 'cache'));
    const unpacked = (await readdir(defaultCacheDir())).filter((name) => name.startsWith('mariadb-'));
    const sources = unpacked.map((name) => join(defaultCacheDir(), name));
    execFileSync('cp', ['-a', ...sources, join(closed, 'cache')]);
    const server = await startMariadb({ cacheDir: join(closed, 'cache') });
    cleanups.push(() => server.stop());
    expect(await mariadbQuery(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  },
);

test('each test gets a Redis database of its own, emptied afterwards', async () => {
  const first = await redisForTests();
  await using second = await redisForTests();
  await onRedis(first.url, (redis) => redis.set('key', 'value'));
  expect(await onRedis(second.url, (redis) => redis.get('key'))).toBeNull();
  await first[Symbol.asyncDispose]();
  expect(await onRedis(first.url, (redis) => redis.dbsize())).toBe(0);
});

test('each test gets a PostgreSQL database of its own, dropped afterwards though connections are open', async () => {
  const first = await postgresForTests();
  await using second = await postgresForTests();
  await postgresQuery(first.url, 'CREATE TABLE t (a int)');
  await expect(postgresQuery(second.url, 'SELECT * FROM t')).rejects.toThrow('relation "t" does not exist');
  const open = new pg.Client({ connectionString: first.url });
  open.on('error', () => undefined);
  await open.connect();
  await first[Symbol.asyncDispose]();
  await expect(postgresQuery(first.url, 'SELECT 1')).rejects.toThrow('does not exist');
});

test('each test gets a MariaDB database of its own, dropped afterwards', async () => {
  const first = await mariadbForTests();
  await using second = await mariadbForTests();
  await mariadbQuery(first.url, 'CREATE TABLE t (a int)');
  await expect(mariadbQuery(second.url, 'SELECT * FROM t')).rejects.toThrow("doesn't exist");
  await first[Symbol.asyncDispose]();
  await expect(mariadbQuery(first.url, 'SELECT 1')).rejects.toThrow('Unknown database');
});

test('a test gets a Redis Cluster whose three masters share the slots, emptied afterwards', async () => {
  const place = await redisClusterForTests();
  const [seed = ''] = place.url.split(',');
  const keys = ['a', 'b', 'c']; // one on each master
  const cluster = new Cluster([seed]);
  cleanups.push(async () => cluster.disconnect());
  for (const key of keys) await cluster.set(key, 'value');
  const sizes = () => Promise.all(cluster.nodes('master').map((master) => master.dbsize()));
  expect(await sizes()).toEqual([1, 1, 1]);
  await place[Symbol.asyncDispose]();
  expect(await sizes()).toEqual([0, 0, 0]);
});

test('a killed master of a cluster comes back to its slots, while the others serve theirs', async () => {
  const { url, masters, stop } = await startRedisCluster();
  cleanups.push(stop);
  const [first, , last] = masters;
  const askLast = <T>(question: (redis: Redis) => Promise<T>) =>
    onRedis(`redis://127.0.0.1:${last?.port}`, question);
  await first?.kill();
  expect(await askLast((redis) => redis.set('a', 'value'))).toBe('OK');
  await first?.restart();
  const cluster = new Cluster(url.split(','));
  cleanups.push(async () => cluster.disconnect());
  expect(await Promise.all(['a', 'b', 'c'].map((key) => cluster.get(key)))).toEqual(['value', null, null]);
});

test('a server started for a spec ends with the spec, killed or not', async () => {
  const index = fileURLToPath(new URL('./index.ts', import.meta.url));
  const source = `import { redisForTests } from ${JSON.stringify(index)};
    console.log((await redisForTests()).url);
    if (process.argv[1] === 'stay') setInterval(() => {}, 1000);`;
  const env = { ...process.env };
  delete env['LLMPROXY_TEST_REDIS_URL'];
  for (const mode of ['leave', 'stay']) {
    const spec = spawn(process.execPath, ['--input-type=module', '-e', source, mode], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env,
    });
    const [url] = (await once(spec.stdout.setEncoding('utf8'), 'data')) as [string];
    if (mode === 'stay') spec.kill('SIGKILL');
    await vi.waitUntil(() => !existsSync(folderOf(url.trim())), 20_000);
  }
});

test('a test run gets all three servers, and one that the environment names is used as it is', async () => {
  vi.stubEnv('LLMPROXY_TEST_MARIADB_URL', 'mysql://somewhere/else');
  vi.stubEnv('LLMPROXY_TEST_REDIS_URL', undefined);
  vi.stubEnv('LLMPROXY_TEST_POSTGRES_URL', undefined);
  const services = await startServicesForTests();
  cleanups.push(() => services.stop());
  const { LLMPROXY_TEST_REDIS_URL: redis = '', LLMPROXY_TEST_POSTGRES_URL: postgres = '' } = services.env;
  expect(services.env['LLMPROXY_TEST_MARIADB_URL']).toBe('mysql://somewhere/else');
  expect(await onRedis(redis, (client) => client.ping())).toBe('PONG');
  expect(await postgresQuery(postgres, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  await services.stop();
  expect([existsSync(folderOf(redis)), existsSync(folderOf(postgres))]).toEqual([false, false]);
});

test('servers that cannot be started are all named, with the variable that would do instead', async () => {
  for (const name of ['REDIS', 'POSTGRES', 'MARIADB']) vi.stubEnv(`LLMPROXY_TEST_${name}_URL`, undefined);
  vi.stubEnv('PATH', '/nonexistent');
  const cacheDir = join(tmpdir(), 'llmproxy-never-made');
  const message = await startServicesForTests({ cacheDir }).catch((cause: Error) => cause.message);
  for (const name of ['REDIS', 'POSTGRES', 'MARIADB'])
    expect(message).toContain(`set LLMPROXY_TEST_${name}_URL`);
});

test('nginx of Debian accepts a configuration', async () => {
  const nginx = await debianNginx();
  const folder = await mkdtemp(join(tmpdir(), 'llmproxy-nginx-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  const conf = join(folder, 'nginx.conf');
  await writeFile(conf, `pid ${folder}/pid; error_log stderr; events {} http { access_log off; }`);
  execFileSync(nginx.command, ['-t', '-e', 'stderr', '-p', folder, '-c', conf], {
    env: nginx.env,
    stdio: 'ignore',
  });
});
