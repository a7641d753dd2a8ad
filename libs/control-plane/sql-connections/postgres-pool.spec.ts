import { postgresForTests, type PlaceForTest } from '@llmproxy/real-services';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { openPostgresPool, type PostgresConnection } from './index.ts';

let place: PlaceForTest;
beforeAll(async () => void (place = await postgresForTests()));
afterAll(() => place[Symbol.asyncDispose]());

function open(over: { url?: string; queryMs?: number } = {}) {
  const pool = openPostgresPool({ url: place.url, connectionsMax: 1, applicationName: 'llmproxy', ...over });
  onTestFinished(() => pool.end());
  return pool;
}

async function beside(text: string, ...values: unknown[]): Promise<void> {
  const client = new pg.Client({ connectionString: place.url });
  await client.connect();
  await client.query(text, values);
  await client.end();
}

async function idOf(connection: PostgresConnection): Promise<number> {
  const { rows } = await connection.query<{ pid: number }>('select pg_backend_pid() as pid');
  return rows[0]?.pid ?? 0;
}

/** Which connection a query gets, and what comes of it. */
async function asked(pool: ReturnType<typeof open>, text: string) {
  const connection = await pool.connect();
  try {
    const pid = await idOf(connection);
    const failure = await connection.query(text).then(
      () => undefined,
      (cause: Error) => cause.message,
    );
    return { pid, failure };
  } finally {
    connection.release();
  }
}

test('a connection whose server takes no writes any more is not used again', async () => {
  await beside('create table t (a int)');
  const pool = open();
  const first = await asked(pool, 'set default_transaction_read_only = on'); // as a server does that was switched over
  const refused = await asked(pool, 'insert into t values (1)');
  expect(refused).toEqual({
    pid: first.pid,
    failure: 'cannot execute INSERT in a read-only transaction',
  });
  const next = await asked(pool, 'insert into t values (1)');
  expect(next.failure).toBeUndefined();
  expect(next.pid).not.toBe(first.pid);
});

test('a connection is kept through what is wrong with a query only', async () => {
  const pool = open();
  const { pid, failure } = await asked(pool, 'select * from nowhere');
  expect(failure).toBe('relation "nowhere" does not exist');
  expect((await asked(pool, 'select 1')).pid).toBe(pid);
});

test('a connection that the server ends between two queries of one user is an error of the second, and then replaced', async () => {
  const pool = open();
  const connection = await pool.connect();
  const pid = await idOf(connection);
  await beside('select pg_terminate_backend($1)', pid);
  await expect.poll(() => connection.isUsable()).toBe(false);
  await expect(connection.query('select 1')).rejects.toThrow();
  connection.release();
  expect(await asked(pool, 'select 1')).toMatchObject({ failure: undefined });
});

test('a query that takes too long costs its connection, one of the unhurried does not', async () => {
  const pool = open({ queryMs: 50 });
  const { pid, failure } = await asked(pool, 'select pg_sleep(10)');
  expect(failure).toBe('Query read timeout');
  const connection = await pool.unhurried.connect();
  expect(await idOf(connection)).not.toBe(pid);
  await connection.query('select pg_sleep(0.2)');
  expect(connection.isUsable()).toBe(true);
  connection.release();
});

test('a server that is not there is told in words, also where its name has several addresses', async () => {
  const taken = createServer();
  await once(taken.listen(0, '127.0.0.1'), 'listening');
  const { port } = taken.address() as AddressInfo;
  await new Promise((resolve) => taken.close(resolve));
  const pool = open({ url: `postgres://postgres@localhost:${port}/x` });
  await expect(pool.connect()).rejects.toThrow(/ECONNREFUSED/);
});
