import { mariadbForTests, recordMariadb, startMariadb, type PlaceForTest } from '@llmproxy/real-services';
import mysql from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { mysqlEngine } from './engines/mysql.ts';
import { openKeyTables } from './index.ts';
import { keyTablesConformance } from './key-tables.conformance.ts';

async function runOn(url: string, statement: string): Promise<void> {
  const connection = await mysql.createConnection(url);
  try {
    await connection.query(statement);
  } finally {
    await connection.end();
  }
}

/** For what is set for all sessions of a server: others' specs must not see it. */
async function privateServer() {
  const server = await startMariadb();
  return { url: server.url, [Symbol.asyncDispose]: () => server.stop() };
}

describe('MariaDB', () => {
  let place: PlaceForTest;
  beforeAll(async () => void (place = await mariadbForTests()));
  afterAll(() => place[Symbol.asyncDispose]());
  const run = (statement: string) => runOn(place.url, statement);

  keyTablesConformance(() =>
    Promise.resolve({
      database: { name: 'main', driver: 'mysql', url: place.url, connectionsMax: 4 },
      timeType: 'datetime',
      run,
      lock: async (table) => {
        const connection = await mysql.createConnection(place.url);
        await connection.query(`lock tables ${table} write`);
        return () => connection.end();
      },
      absent: () => {
        const url = new URL(place.url);
        const name = `${url.pathname.slice(1)}_later`;
        url.pathname = name;
        return {
          database: { name: 'main', driver: 'mysql', url: url.href, connectionsMax: 2 },
          create: async () => {
            await run(`create database ${name}`);
            onTestFinished(() => run(`drop database ${name}`));
            return (statement: string) => runOn(url.href, statement);
          },
        };
      },
      cutConnections: async () => {
        const connection = await mysql.createConnection(place.url);
        const [rows] = await connection.query<mysql.RowDataPacket[]>(
          'select id from information_schema.processlist where db = database() and id <> connection_id()',
        );
        for (const { id } of rows) await connection.query(`kill ${Number(id)}`);
        await connection.end();
      },
      statements: async (work) => {
        await using recorded = await recordMariadb(place.url);
        await work({ name: 'main', driver: 'mysql', url: recorded.url, connectionsMax: 1 });
        return recorded.statements();
      },
    }),
  );

  function open(table: string, url = place.url) {
    const where = { table, keyColumn: 'api_key', fields: [], keyHash: 'none' as const };
    const tables = openKeyTables({
      databases: [{ name: 'main', driver: 'mysql', url, connectionsMax: 1 }],
      tables: new Map([['p', { ...where, database: 'main', timeoutMs: 10_000 }]]),
    });
    onTestFinished(() => tables.close());
    return (key: string) => tables.find('p', key);
  }

  test('times are UTC, the zero date is none, and bytes are text', async () => {
    await run('create table typed (api_key varbinary(50), at timestamp(3) null, zero datetime, day date)');
    const connection = await mysql.createConnection({ uri: place.url, multipleStatements: true });
    await connection.query(`set time_zone = '+05:30', sql_mode = '';
      insert into typed values ('sk-1', '2027-01-31 10:00:00.5', '0000-00-00 00:00:00', '0000-00-00')`);
    await connection.end();
    expect(await open('typed')('sk-1')).toEqual({
      api_key: 'sk-1',
      at: '2027-01-31T04:30:00.500Z',
      zero: null,
      day: null,
    });
  });

  test('a key cannot leave its quotes where backslashes are plain characters', async () => {
    await using server = await privateServer();
    await runOn(server.url, `set global sql_mode = concat(@@sql_mode, ',NO_BACKSLASH_ESCAPES')`);
    await runOn(server.url, 'create database plain');
    const url = new URL(server.url);
    url.pathname = 'plain';
    await runOn(url.href, 'create table k (api_key varchar(50))');
    await runOn(url.href, `insert into k values ('sk-1')`);
    const find = open('k', url.href);
    expect(await find(`\\'/**/or/**/1=1#`)).toBeUndefined();
    expect(await find('sk-1')).toEqual({ api_key: 'sk-1' });
  });

  test('nothing can be written, not even by a function behind a view', async () => {
    await run('create table visits (n int)');
    await run(`create function visit() returns varchar(20) modifies sql data
      begin insert into visits values (1); return 'sk-1'; end`);
    await run('create view visiting as select visit() as api_key');
    await expect(open('visiting')('sk-1')).rejects.toThrow(
      'database main: failed (ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION)',
    );
  });

  test('a query that the server itself gives up is told as that', async () => {
    await run('create table slow (api_key varchar(10))');
    const engine = mysqlEngine({ url: place.url, connectionsMax: 1, tls: undefined });
    onTestFinished(() => engine.close());
    const locking = await mysql.createConnection(place.url);
    await locking.query('lock tables slow write');
    const query = `${engine.dialect.select(20)} api_key from slow where api_key = ? and api_key = ?`;
    const told = await engine.rows(query, 'sk-1', 20).catch((cause: unknown) => engine.describe(cause));
    await locking.end();
    expect(told).toBe('the query took too long (ER_STATEMENT_TIMEOUT)');
  });
});
