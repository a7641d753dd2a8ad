/** What every SQL engine must do; run by the spec of each. */
import { hash, randomUUID } from 'node:crypto';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openKeyTables, type KeyDatabase, type KeyTable, type KeyTablesOptions } from './index.ts';

export interface DatabaseUnderTest {
  readonly database: KeyDatabase;
  /** Type of a column that holds a point in time. */
  readonly timeType: string;
  /** Runs a statement beside the lookups. */
  run(statement: string): Promise<void>;
  /** Keeps a table from being read until what it returns is called. */
  lock(table: string): Promise<() => Promise<void>>;
  /** A database that does not exist until `create` is called; `run` then speaks to it. */
  absent(): { database: KeyDatabase; create(): Promise<(statement: string) => Promise<void>> };
  /** Ends all connections of others, as a restart of the database does. */
  cutConnections(): Promise<void>;
  /** The texts of all statements that `work` made the engine see. */
  statements(work: (database: KeyDatabase) => Promise<void>): Promise<string[]>;
}

const secret = 'sk-Secret-0123456789';
const freshTable = () => `keys_${randomUUID().replaceAll('-', '')}`;
/** Digits that are exact in a double but not beyond it. */
const beyondDouble = '9007199254740993';

const createKeys = (table: string, { timeType }: Pick<DatabaseUnderTest, 'timeType'>) =>
  `create table ${table} (api_key varchar(100), name varchar(100), status int, total_quota bigint, used_quota bigint,
    balance decimal(12, 2), expires_at ${timeType}, starts_on date, allowed_ips text)`;

interface Over {
  timeoutMs?: number;
  waitingMax?: number;
}

function open(
  database: KeyDatabase,
  table: Partial<KeyTable> & { table: string },
  { timeoutMs = 10_000, waitingMax }: Over = {},
) {
  const options: KeyTablesOptions = {
    databases: [database],
    tables: new Map([
      [
        'customers',
        {
          keyColumn: 'api_key',
          fields: [],
          keyHash: 'none' as const,
          ...table,
          database: database.name,
          timeoutMs,
        },
      ],
    ]),
    ...(waitingMax !== undefined && { waitingMax }),
  };
  const tables = openKeyTables(options);
  onTestFinished(() => tables.close());
  return (key: string) => tables.find('customers', key);
}

export function keyTablesConformance(start: () => Promise<DatabaseUnderTest>): void {
  const withKeys = async (...rows: string[]) => {
    const sql = await start();
    const table = freshTable();
    await sql.run(createKeys(table, sql));
    for (const row of rows) await sql.run(`insert into ${table} ${row}`);
    return { sql, table };
  };
  const oneKey = `(api_key, name, status) values ('${secret}', 'ci', 0)`;

  test('a key is found with all its columns: times in RFC 3339, numbers exact, nothing made up', async () => {
    const { sql, table } = await withKeys(
      `values ('${secret}', 'Ann''s', 1, ${beyondDouble}, 42, 12.50, '2027-01-31 10:20:30', '2026-02-03', '["10.0.0.0/8"]')`,
    );
    const found = await open(sql.database, { table })(secret);
    expect(found).toEqual({
      api_key: secret,
      name: "Ann's",
      status: 1,
      total_quota: beyondDouble,
      used_quota: 42,
      balance: expect.anything() as unknown,
      expires_at: '2027-01-31T10:20:30.000Z',
      starts_on: '2026-02-03T00:00:00.000Z',
      allowed_ips: '["10.0.0.0/8"]',
    });
    expect(Number(found?.['balance'])).toBe(12.5);
  });

  test('what is NULL is null', async () => {
    const { sql, table } = await withKeys(oneKey);
    expect(await open(sql.database, { table })(secret)).toMatchObject({
      expires_at: null,
      total_quota: null,
    });
  });

  test('an unknown key is undefined', async () => {
    const { sql, table } = await withKeys(oneKey);
    expect(await open(sql.database, { table })('sk-unknown')).toBeUndefined();
  });

  test('no key is ever part of a statement', async () => {
    const { sql, table } = await withKeys(oneKey);
    const texts = await sql.statements(async (database) => {
      const find = open(database, { table });
      expect(await find(secret)).toMatchObject({ name: 'ci' });
      expect(await find(`${secret}'`)).toBeUndefined();
    });
    expect(texts.filter((text) => text.includes(table)).length).toBeGreaterThan(0);
    expect(texts.filter((text) => text.includes('Secret'))).toEqual([]);
  });

  test('only the columns asked for are read', async () => {
    const { sql, table } = await withKeys(oneKey);
    const find = open(sql.database, { table, fields: ['name', 'status'] });
    expect(await find(secret)).toEqual({ name: 'ci', status: 0 });
  });

  test.each([
    `' or '1'='1`,
    `\\' or 1=1 -- `,
    `\\'/**/or/**/1=1#`,
    `'/**/or/**/1=1--`,
    `"/**/or/**/""="`,
    '$1',
    '?',
    '%',
    'api_key',
    `${secret}\0`,
    `${secret} `,
    secret.toLowerCase(),
    secret.toUpperCase(),
    'é',
    '',
    'x'.repeat(5_000),
  ])('%j is nobody: a key is compared as it is, byte by byte', async (key) => {
    const { sql, table } = await withKeys(oneKey);
    expect(await open(sql.database, { table })(key)).toBeUndefined();
  });

  test('a key of quotes, backslashes and placeholders is found as itself', async () => {
    const odd = `a'b"c\\d\`e$1?:f%_;--`;
    const { sql, table } = await withKeys();
    await sql.run(
      `insert into ${table} (api_key, name) values ('${odd.replaceAll("'", "''").replaceAll('\\', sql.database.driver === 'mysql' ? '\\\\' : '\\')}', 'odd')`,
    );
    expect(await open(sql.database, { table })(odd)).toMatchObject({ name: 'odd' });
  });

  test('words do not match numbers, and digits match only as written', async () => {
    const { sql } = await withKeys();
    const table = freshTable();
    await sql.run(`create table ${table} (api_key bigint, name varchar(10))`);
    await sql.run(`insert into ${table} values (0, 'zero'), (123, 'number')`);
    const find = open(sql.database, { table });
    expect(await find('sk-word')).toBeUndefined();
    expect(await find('0123')).toBeUndefined();
    expect(await find('123')).toMatchObject({ name: 'number' });
  });

  test('with key_hash sha256 the table holds no key, and a stolen hash is no key', async () => {
    const sha256 = hash('sha256', secret, 'hex');
    const { sql, table } = await withKeys(`(api_key, name) values ('${sha256}', 'hashed')`);
    const find = open(sql.database, { table, keyHash: 'sha256' });
    expect(await find(secret)).toMatchObject({ name: 'hashed' });
    expect(await find(sha256)).toBeUndefined();
  });

  test('two rows for one key are an error: chance must not decide which of them holds', async () => {
    const { sql, table } = await withKeys(oneKey, oneKey);
    await expect(open(sql.database, { table })(secret)).rejects.toThrow(
      `database main: several rows of ${table} hold one key`,
    );
  });

  test('a name with capitals, or one that SQL reserves, is a name', async () => {
    const { sql } = await withKeys();
    const quote = sql.database.driver === 'mysql' ? '`' : '"';
    const table = `Order_${freshTable()}`;
    const quoted = (name: string) => `${quote}${name}${quote}`;
    await sql.run(`create table ${quoted(table)} (${quoted('Key')} varchar(50), ${quoted('group')} int)`);
    await sql.run(`insert into ${quoted(table)} values ('${secret}', 7)`);
    const find = open(sql.database, { table, keyColumn: 'Key', fields: ['group'] });
    expect(await find(secret)).toEqual({ group: 7 });
  });

  test('a view is as good as a table', async () => {
    const { sql, table } = await withKeys(oneKey);
    const view = freshTable();
    await sql.run(`create view ${view} as select api_key as token, name as label from ${table}`);
    expect(await open(sql.database, { table: view, keyColumn: 'token' })(secret)).toEqual({
      token: secret,
      label: 'ci',
    });
  });

  test.each([
    ['table', (table: string) => ({ table: `${table}_gone` })],
    ['key column', (table: string) => ({ table, keyColumn: 'gone' })],
    ['field', (table: string) => ({ table, fields: ['name', 'gone'] })],
  ])('a missing %s is an error that names no key', async (_, where) => {
    const { sql, table } = await withKeys(oneKey);
    const error = await open(sql.database, where(table))(secret).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(Error);
    expect(String(error)).toMatch(/database main: .*(does not exist|no such)/);
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(secret);
  });

  test('a table made later is found once it is there', async () => {
    const sql = await start();
    const table = freshTable();
    const find = open(sql.database, { table });
    await expect(find(secret)).rejects.toThrow('database main: ');
    await sql.run(createKeys(table, sql));
    await sql.run(`insert into ${table} ${oneKey}`);
    expect(await find(secret)).toMatchObject({ name: 'ci' });
  });

  test('a database that is away is an error, and is found once it is there', async () => {
    const sql = await start();
    const { database, create } = sql.absent();
    const find = open(database, { table: 'customers' });
    await expect(find(secret)).rejects.toThrow(/^database main: .*does not exist/);
    const run = await create();
    await run(createKeys('customers', sql));
    await run(`insert into customers ${oneKey}`);
    expect(await find(secret)).toMatchObject({ name: 'ci' });
  });

  test('connections that the database has cut are replaced', async () => {
    const { sql, table } = await withKeys(oneKey);
    const find = open(sql.database, { table });
    await find(secret);
    await sql.cutConnections();
    await vi.waitUntil(() =>
      find(secret).then(
        (found) => found !== undefined,
        () => false,
      ),
    );
  });

  test('a change is seen by the next lookup', async () => {
    const { sql, table } = await withKeys(oneKey);
    const find = open(sql.database, { table });
    expect(await find(secret)).toMatchObject({ status: 0 });
    await sql.run(`update ${table} set status = 1`);
    expect(await find(secret)).toMatchObject({ status: 1 });
    await sql.run(`delete from ${table}`);
    expect(await find(secret)).toBeUndefined();
  });

  test('nobody waits longer than the time-out, and a table that was locked is read again afterwards', async () => {
    const { sql, table } = await withKeys(oneKey);
    const find = open(sql.database, { table }, { timeoutMs: 100 });
    const unlock = await sql.lock(table);
    await expect(find(secret)).rejects.toThrow(
      /^database main: (no answer within 100 ms|the query took too long)/,
    );
    await unlock();
    await vi.waitUntil(() =>
      find(secret).then(
        (found) => found !== undefined,
        () => false,
      ),
    );
  });

  test('lookups beyond the connections wait, and beyond the waiting are refused at once', async () => {
    const { sql, table } = await withKeys(oneKey);
    const find = open(sql.database, { table }, { waitingMax: 20 });
    const unlock = await sql.lock(table);
    const lookups = Array.from({ length: 50 }, () => find(secret).catch((cause: Error) => cause.message));
    const refused = await Promise.race(lookups);
    await unlock();
    expect(refused).toBe('database main: too many lookups are waiting');
    const outcomes = await Promise.all(lookups);
    expect(outcomes.filter((outcome) => typeof outcome === 'object').length).toBeGreaterThanOrEqual(21);
  });

  test('many lookups at once are all answered', async () => {
    const { sql, table } = await withKeys(oneKey);
    const find = open(sql.database, { table });
    const found = await Promise.all(Array.from({ length: 200 }, (_, i) => find(i % 2 ? secret : `sk-${i}`)));
    expect(found.filter((row) => row?.['name'] === 'ci')).toHaveLength(100);
  });
}
