import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { openKeyLookup } from '@llmproxy/key-lookup-socket';
import { expect, onTestFinished, test } from 'vitest';

const secret = 'sk-customer-0123456789';
const patient = { timeout: 25_000 };

interface Setup {
  folder: string;
  database: string;
  socket: string;
  config: string;
}

function setUp(over: { type?: string; enabled?: boolean } = {}): Setup {
  const folder = mkdtempSync(join(tmpdir(), 'kl-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const database = join(folder, 'keys.db');
  const socket = join(folder, 'sockets', 'lookup.sock');
  const config = join(folder, 'config.yaml');
  const { type = 'database', enabled = true } = over;
  writeFileSync(
    config,
    JSON.stringify({
      backends: [{ url: 'http://127.0.0.1:9' }],
      storage: { databases: [{ name: 'main', enabled: true, driver: 'sqlite', path: database }] },
      auth: {
        enabled,
        lookup: { listen: `unix:${socket}` },
        pipeline: [
          {
            name: 'customers',
            type,
            enabled: true,
            ...(type === 'database' && {
              database: {
                storage: 'main',
                table: 'customers',
                key_column: 'token',
                fields: ['label', 'status'],
              },
            }),
          },
        ],
      },
    }),
  );
  return { folder, database, socket, config };
}

function createTable(path: string) {
  const file = new DatabaseSync(path);
  file.exec(`create table customers (token text, label text, status int);
    insert into customers values ('${secret}', 'Ann', 1)`);
  file.close();
}

/** The process as it runs in production, told to stop by a signal. */
function start(config: string) {
  const args = ['--config', config, '--management-listen', '127.0.0.1:0'];
  const child = fork(new URL('main.ts', import.meta.url), args, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const exit = once(child, 'close') as Promise<[code: number | null, signal: string | null]>;
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await exit;
  });
  const died = exit.then(() => Promise.reject(new Error(output)));
  died.catch(() => undefined);
  const ready = async () =>
    expect((await Promise.race([once(child, 'message'), died]))[0]).toEqual({ ready: true });
  const management = async () => {
    await expect.poll(() => output, patient).toMatch(/"management":"/);
    return /"management":"([^"]+)"/.exec(output)?.[1] ?? '';
  };
  return { child, exit, ready, management, output: () => output };
}

function open(socketPath: string) {
  const lookup = openKeyLookup({ socketPath, timeoutMs: 10_000 });
  onTestFinished(() => lookup.close());
  return lookup;
}

const textOf = async (url: string) => (await fetch(url)).text();

test('a key of the table is found through the socket, which is open to one user only', async () => {
  const { config, database, socket } = setUp();
  createTable(database);
  const process = start(config);
  await process.ready();
  expect(statSync(socket).mode & 0o777).toBe(0o600);
  const lookup = open(socket);
  expect(await lookup.find('customers', secret)).toEqual({ label: 'Ann', status: 1 });
  expect(await lookup.find('customers', 'sk-unknown')).toBeUndefined();
  const management = await process.management();
  const metrics = await textOf(`${management}/metrics`);
  expect(metrics).toContain('llmproxy_key_lookups_total{provider="customers",outcome="found"} 1');
  expect(metrics).toContain('llmproxy_key_lookups_total{provider="customers",outcome="unknown"} 1');
});

test('a database that is away leaves the process ready, is told, and is read once it is there', async () => {
  const { config, database, socket, folder } = setUp();
  const process = start(config);
  await process.ready();
  const management = await process.management();
  const lookup = open(socket);
  await expect(lookup.find('customers', secret)).rejects.toThrow(
    'key lookup: database main: the file does not exist',
  );
  const away = await fetch(`${management}/readyz?verbose`);
  expect(away.status).toBe(200);
  expect(await away.text()).toContain('[-]customers database main: the file does not exist');
  createTable(join(folder, 'next.db'));
  renameSync(join(folder, 'next.db'), database);
  expect(await lookup.find('customers', secret)).toEqual({ label: 'Ann', status: 1 });
  expect(await textOf(`${management}/readyz?verbose`)).toContain('[+]customers ok');
  await expect.poll(process.output, patient).toContain('keys can be looked up');
  expect(process.output()).not.toContain(secret);
});

test('a signal ends it with 0, its socket gone', async () => {
  const { config, database, socket } = setUp();
  createTable(database);
  const process = start(config);
  await process.ready();
  const lookup = open(socket);
  await lookup.find('customers', secret);
  process.child.kill('SIGTERM');
  expect(await process.exit).toEqual([0, null]);
  expect(existsSync(socket)).toBe(false);
  await expect(lookup.find('customers', secret)).rejects.toThrow('key lookup: ');
});

test('after kill -9 the next process takes the socket over, and lookups go on', async () => {
  const { config, database, socket } = setUp();
  createTable(database);
  const first = start(config);
  await first.ready();
  const lookup = open(socket);
  await lookup.find('customers', secret);
  first.child.kill('SIGKILL');
  await first.exit;
  await start(config).ready();
  expect(await lookup.find('customers', secret)).toEqual({ label: 'Ann', status: 1 });
});

test('a second process on one socket ends, and the first goes on answering', async () => {
  const { config, database, socket } = setUp();
  createTable(database);
  await start(config).ready();
  const second = start(config);
  expect(await second.exit).toEqual([1, null]);
  expect(second.output()).toContain(`another process answers on ${socket}`);
  expect(await open(socket).find('customers', secret)).toEqual({ label: 'Ann', status: 1 });
});

test.each([
  ['has no provider of type database', { type: 'builtin' }],
  ['asks for no keys', { enabled: false }],
])('a config that %s ends it with 78', async (_, over) => {
  const { config } = setUp(over);
  const process = start(config);
  expect(await process.exit).toEqual([78, null]);
  expect(process.output()).toContain('auth.pipeline: holds no enabled provider of type database');
});

test('a config file that is not there ends it with 78', async () => {
  const process = start('/nowhere/config.yaml');
  expect(await process.exit).toEqual([78, null]);
});
