import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { startEmbeddedRedis } from './index.ts';
import { identify, isRunning } from './process-identity.ts';

let dataDir: string;
const cleanups: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'llmproxy-spec-'));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await rm(dataDir, { recursive: true, force: true });
});

async function start(folder = dataDir) {
  const redis = await startEmbeddedRedis({ dataDir: folder });
  cleanups.push(() => redis.stop());
  return redis;
}

async function query<T>(url: string, question: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis({ path: new URL(url).pathname });
  try {
    return await question(redis);
  } finally {
    redis.disconnect();
  }
}

/** A process that starts the embedded Redis, stores a value and waits to be killed. */
async function startInAnotherProcess() {
  const index = fileURLToPath(new URL('./index.ts', import.meta.url));
  const source = `import { Redis } from ${JSON.stringify(import.meta.resolve('ioredis'))};
    import { startEmbeddedRedis } from ${JSON.stringify(index)};
    const server = await startEmbeddedRedis({ dataDir: process.argv[1] });
    const redis = new Redis({ path: new URL(server.url).pathname });
    await redis.set('kept', 'yes');
    console.log(String(server.pid)); // a bare number would be coloured where colours are forced`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', source, dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanups.push(async () => void owner.kill('SIGKILL'));
  const [text] = (await once(owner.stdout.setEncoding('utf8'), 'data')) as [string];
  return { owner, server: identify(Number(text)) };
}

test('data survives a stop and a start', async () => {
  const first = await start();
  await query(first.url, (redis) => redis.set('kept', 'yes'));
  await first.stop();
  const second = await start();
  expect(await query(second.url, (redis) => redis.get('kept'))).toBe('yes');
});

test('nothing is evicted, every write reaches the append-only file, and only this user may connect', async () => {
  const { url } = await start();
  const settings = await query(url, async (redis) => [
    await redis.config('GET', 'maxmemory-policy'),
    await redis.config('GET', 'appendonly'),
    await redis.config('GET', 'appendfsync'),
    await redis.config('GET', 'port'),
  ]);
  expect(settings).toEqual([
    ['maxmemory-policy', 'noeviction'],
    ['appendonly', 'yes'],
    ['appendfsync', 'everysec'],
    ['port', '0'],
  ]);
  expect((await stat(join(dataDir, 'redis.sock'))).mode & 0o777).toBe(0o700);
});

test('after stop the process is gone and stopping again is harmless', async () => {
  const redis = await start();
  const server = identify(redis.pid);
  await redis.stop();
  expect(isRunning(server)).toBe(false);
  await redis.stop();
});

test('a folder with a long path and spaces works', async () => {
  const long = join(dataDir, 'a folder of data'.repeat(10), 'ü');
  const redis = await start(long);
  const { url } = redis;
  expect(await query(url, (redis) => redis.ping())).toBe('PONG');
  expect(url.length).toBeLessThan(long.length);
  await redis.stop();
  expect(existsSync(dirname(new URL(url).pathname))).toBe(false);
});

test('the server ends by itself, its data saved, when its process is killed', async () => {
  const { owner, server } = await startInAnotherProcess();
  owner.kill('SIGKILL');
  await vi.waitUntil(() => !isRunning(server), 10_000);
  const { url } = await start();
  expect(await query(url, (redis) => redis.get('kept'))).toBe('yes');
});

test('a start right after a kill waits for the old server, so that two never share one file', async () => {
  const { owner, server } = await startInAnotherProcess();
  owner.kill('SIGKILL');
  await once(owner, 'exit');
  const { url, pid } = await start();
  expect([isRunning(server), pid === server.pid]).toEqual([false, false]);
  expect(await query(url, (redis) => redis.get('kept'))).toBe('yes');
});

test('a folder that a running process uses is refused, and that process goes on undisturbed', async () => {
  const { owner, server } = await startInAnotherProcess();
  await expect(startEmbeddedRedis({ dataDir })).rejects.toThrow(`in use by the running process ${owner.pid}`);
  expect(isRunning(server)).toBe(true);
});

test('a server that crashed can be started again by the same process', async () => {
  const first = await start();
  process.kill(first.pid, 'SIGKILL');
  expect(await first.ended).toContain('SIGKILL');
  const second = await start();
  expect(await query(second.url, (redis) => redis.ping())).toBe('PONG');
});

test('data that cannot be read is told with the words of redis-server, and the folder is free again', async () => {
  const first = await start();
  await query(first.url, (redis) => redis.set('kept', 'yes'));
  await first.stop();
  const manifest = join(dataDir, 'appendonlydir', 'appendonly.aof.manifest');
  const good = await readFile(manifest);
  await writeFile(manifest, 'rubbish\n');
  await expect(startEmbeddedRedis({ dataDir })).rejects.toThrow(/did not start: ended with 1\..*AOF/s);
  expect(existsSync(join(dataDir, 'embedded.json'))).toBe(false);
  await writeFile(manifest, good);
  const again = await start();
  expect(await query(again.url, (redis) => redis.get('kept'))).toBe('yes');
});

test.runIf(existsSync('/usr/bin/apt-get'))(
  'where no redis-server is installed, the one of a Debian package runs',
  async () => {
    const programs = join(dataDir, 'programs');
    await mkdir(programs);
    for (const name of await readdir('/usr/bin')) {
      if (!/^(redis|valkey)/.test(name)) await symlink(join('/usr/bin', name), join(programs, name));
    }
    vi.stubEnv('PATH', programs);
    const { url } = await start();
    expect(await query(url, (redis) => redis.info('server'))).toMatch(
      /executable:.*\/usr\/bin\/redis-server/,
    );
    expect(await query(url, (redis) => redis.incr('counter'))).toBe(1);
  },
);

test('without any redis-server the choices are named', async () => {
  vi.stubEnv('PATH', '/nonexistent');
  const attempt = startEmbeddedRedis({ dataDir, cacheDir: join(dataDir, 'cache') });
  await expect(attempt).rejects.toThrow(/none in PATH.*Install redis-server or valkey-server.*redis\.url/);
});
