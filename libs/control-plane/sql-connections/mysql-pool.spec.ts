import dns from 'node:dns';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { recordMariadb, startMariadb, type PrivateServer, type RecordedPlace } from '@llmproxy/real-services';
import mysql from 'mysql2/promise';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { openMysqlPool, type MysqlPool, type MysqlPoolOptions, type SqlTls } from './index.ts';

const pem = (name: string) =>
  readFileSync(new URL(`../../../test/fixtures/tls/${name}`, import.meta.url), 'utf8');
const ours = { ca: pem('ca.crt'), cert: pem('client.crt'), key: pem('client.key') };

let server: PrivateServer;
/** The same on a port of 127.0.0.1, where the certificate of the server counts. */
let relay: RecordedPlace;
beforeAll(async () => {
  // Its own default character set is not what is sent, and what a client asks for is ignored.
  const options = [
    '--character-set-server=gbk',
    '--collation-server=gbk_chinese_ci',
    '--skip-character-set-client-handshake',
  ];
  server = await startMariadb({
    options,
    tls: { ca: ours.ca, cert: pem('server.crt'), key: pem('server.key') },
  });
  relay = await recordMariadb(server.url);
  await beside('create user app@localhost');
  await beside('create user secured@localhost require x509');
  await beside('create database place character set utf8mb4');
  for (const user of ['app', 'secured']) await beside(`grant all on place.* to ${user}@localhost`);
});
afterAll(async () => {
  await relay[Symbol.asyncDispose]();
  await server.stop();
});

async function asked(statement: string): Promise<Record<string, unknown>[]> {
  const connection = await mysql.createConnection(server.url);
  const [rows] = await connection.query(statement);
  await connection.end();
  return rows as Record<string, unknown>[];
}

const beside = async (statement: string): Promise<void> => void (await asked(statement));

function urlOf(user: string, host?: string): string {
  const url = new URL(host === undefined ? server.url : relay.url);
  url.username = user;
  url.pathname = '/place';
  if (host !== undefined) url.hostname = host;
  return url.href;
}

function open(over: Partial<MysqlPoolOptions> = {}): MysqlPool {
  const pool = openMysqlPool({ url: urlOf('app'), connectionsMax: 1, ...over });
  onTestFinished(() => pool.end());
  return pool;
}

/** What a query says, or what it failed with. */
async function ask(
  pool: MysqlPool,
  text: string,
  values: unknown[] = [],
  timeoutMs?: number,
): Promise<unknown> {
  const connection = await pool.connect();
  try {
    const [rows] = await connection.query({ text, values, timeoutMs });
    return Array.isArray(rows) ? (rows as unknown[])[0] : rows;
  } catch (cause) {
    return (cause as Error).message;
  } finally {
    connection.release();
  }
}

const idOf = async (pool: MysqlPool) => (await ask(pool, 'select connection_id() as id')) as { id: number };

test('text is UTF-8 where the server has another character set and ignores what it is asked for', async () => {
  const pool = open();
  await ask(pool, 'create table texts (t varchar(50)) character set utf8mb4');
  const text = `縗' 誠\\' 😀 é`;
  await ask(pool, 'insert into texts values (?)', [text]);
  expect(await ask(pool, 'select t, hex(t) as bytes from texts')).toEqual({
    t: text,
    bytes: Buffer.from(text).toString('hex').toUpperCase(),
  });
});

test('a server that prepares no more statements gets back those of the connection that it tells so', async () => {
  const pool = open();
  const { id } = await idOf(pool);
  expect(await ask(pool, 'select ? as n', [1])).toEqual({ n: 1 });
  const [held] = await asked(`show global status like 'Prepared_stmt_count'`);
  await beside(`set global max_prepared_stmt_count = ${Number(held?.['Value'])}`);
  onTestFinished(() => beside('set global max_prepared_stmt_count = default'));
  expect(await ask(pool, 'select ? + 1 as n', [1])).toContain('max_prepared_stmt_count');
  await expect.poll(() => ask(pool, 'select ? + 1 as n', [1])).toEqual({ n: 2 });
  expect((await idOf(pool)).id).not.toBe(id);
});

test('a query that takes too long costs its connection, what is wrong with a query does not', async () => {
  const pool = open();
  const { id } = await idOf(pool);
  expect(await ask(pool, 'select * from nowhere where 1 = ?', [1])).toContain(`doesn't exist`);
  expect(await idOf(pool)).toEqual({ id });
  expect(await ask(pool, 'select sleep(?)', [10], 50)).toContain('inactivity timeout');
  expect((await idOf(pool)).id).not.toBe(id);
});

test('a connection whose server takes no writes any more is not used again', async () => {
  const pool = open();
  await ask(pool, 'create table written (n int)');
  const { id } = await idOf(pool);
  await beside('set global read_only = 1');
  onTestFinished(() => beside('set global read_only = 0'));
  expect(await ask(pool, 'insert into written values (?)', [1])).toContain('read-only');
  expect((await idOf(pool)).id).not.toBe(id);
});

test('a connection that the server ends is replaced', async () => {
  const pool = open();
  const { id } = await idOf(pool);
  await beside(`kill ${id}`);
  await expect.poll(() => idOf(pool)).toEqual({ id: expect.any(Number) as number });
  expect((await idOf(pool)).id).not.toBe(id);
});

test('a server that is not there is told in words, also where its name has several addresses', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  const { port } = await new Promise<{ port: number }>((resolve) =>
    taken.once('listening', () => resolve(taken.address() as { port: number })),
  );
  await new Promise((resolve) => taken.close(resolve));
  await expect(open({ url: `mysql://root@localhost:${port}/x` }).connect()).rejects.toThrow(/ECONNREFUSED/);
});

const tls = (over: Partial<ReturnType<SqlTls['read']>> = {}, verify: SqlTls['verify'] = 'full'): SqlTls => ({
  read: () => ({ ...ours, ...over }),
  verify,
});
const cipher = `show status like 'Ssl_cipher'`;

test.each([
  { host: 'localhost', with: tls() },
  { host: '127.0.0.1', with: tls() },
  { host: '127.0.0.1', with: tls({ servername: 'store.test' }) },
  { host: '127.0.0.1', with: tls({ servername: 'other.test' }, 'ca') },
  { host: '127.0.0.1', with: tls({ ca: pem('backend.crt') }, 'none') },
])('TLS over $host, the server verified: $with.verify', async ({ host, with: how }) => {
  const found = await ask(open({ url: urlOf('secured', host), tls: how }), cipher);
  expect(found).toMatchObject({ Value: expect.stringMatching(/^TLS|^ECDHE/) as string });
});

test.each([
  {
    whose: 'name is another',
    with: tls({ servername: 'other.test' }),
    host: 'localhost',
    reason: /altnames/,
  },
  {
    whose: 'address is another',
    with: tls({ servername: '127.0.0.2' }),
    host: 'localhost',
    reason: /IP|altnames/,
  },
  {
    whose: 'authority is another',
    with: tls({ ca: pem('backend.crt') }, 'ca'),
    host: 'localhost',
    reason: /verify|issuer|self-signed/,
  },
])('a server whose $whose is not spoken to', async ({ with: how, host, reason }) => {
  await expect(open({ url: urlOf('secured', host), tls: how }).connect()).rejects.toThrow(reason);
});

test('who must have a certificate is let in by none other', async () => {
  const without = { read: () => ({ ca: ours.ca }), verify: 'full' } as const;
  await expect(open({ url: urlOf('secured', 'localhost'), tls: without }).connect()).rejects.toThrow(
    /denied/,
  );
});

test('certificates that are replaced are used from the next connection on', async () => {
  let texts = { ...ours, ca: pem('backend.crt') };
  const pool = open({ url: urlOf('secured', 'localhost'), tls: { read: () => texts, verify: 'full' } });
  await expect(pool.connect()).rejects.toThrow();
  texts = ours;
  expect(await ask(pool, cipher)).toMatchObject({ Variable_name: 'Ssl_cipher' });
});

test.each(['127.0.0.1', 'localhost'])(
  'each connection of a pool over TLS goes to %s, whatever name is verified',
  async (host) => {
    const how = tls({ servername: 'store.test' });
    const pool = open({ url: urlOf('secured', host), tls: how, connectionsMax: 3 });
    const connections = await Promise.all([pool.connect(), pool.connect(), pool.connect()]);
    expect(connections).toHaveLength(3);
    for (const connection of connections) connection.release();
  },
);

test('the name of the server is looked up for each connection', async () => {
  const addresses = ['127.0.0.3', '127.0.0.1'];
  vi.spyOn(dns, 'lookup').mockImplementation(((
    _name: string,
    { all }: { all?: boolean },
    done: (...found: unknown[]) => void,
  ) => {
    const address = addresses.shift() ?? '';
    done(null, all === true ? [{ address, family: 4 }] : address, 4);
  }) as never);
  onTestFinished(() => void vi.restoreAllMocks());
  const pool = open({ url: urlOf('app', 'db.test') });
  await expect(pool.connect()).rejects.toThrow('ECONNREFUSED');
  expect(await ask(pool, 'select 1 as one')).toEqual({ one: 1 });
});
