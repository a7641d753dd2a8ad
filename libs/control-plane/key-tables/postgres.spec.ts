import {
  postgresForTests,
  startPgbouncer,
  recordPostgres,
  type PlaceForTest,
  type PrivateServer,
} from '@llmproxy/real-services';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openKeyTables, type KeyTable } from './index.ts';
import { keyTablesConformance } from './key-tables.conformance.ts';

async function runOn(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

describe('PostgreSQL', () => {
  let place: PlaceForTest;
  beforeAll(async () => void (place = await postgresForTests()));
  afterAll(() => place[Symbol.asyncDispose]());
  const run = (statement: string) => runOn(place.url, statement);

  keyTablesConformance(() =>
    Promise.resolve({
      database: { name: 'main', driver: 'postgres', url: place.url, connectionsMax: 4 },
      timeType: 'timestamp',
      run,
      lock: async (table) => {
        const client = new pg.Client({ connectionString: place.url });
        await client.connect();
        await client.query(`begin; lock table ${table} in access exclusive mode`);
        return () => client.end();
      },
      absent: () => {
        const url = new URL(place.url);
        const name = `${url.pathname.slice(1)}_later`;
        url.pathname = name;
        return {
          database: { name: 'main', driver: 'postgres', url: url.href, connectionsMax: 2 },
          create: async () => {
            await run(`create database ${name}`);
            onTestFinished(() => run(`drop database ${name} with (force)`));
            return (statement: string) => runOn(url.href, statement);
          },
        };
      },
      cutConnections: () =>
        run(
          'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()',
        ),
      statements: async (work) => {
        await using recorded = await recordPostgres(place.url);
        await work({ name: 'main', driver: 'postgres', url: recorded.url, connectionsMax: 1 });
        return recorded.statements();
      },
    }),
  );

  function open(table: Partial<KeyTable> & { table: string }, url = place.url) {
    const where = { keyColumn: 'api_key', fields: [], keyHash: 'none' as const, ...table };
    const tables = openKeyTables({
      databases: [{ name: 'main', driver: 'postgres', url, connectionsMax: 1 }],
      tables: new Map([['p', { ...where, database: 'main', timeoutMs: 10_000 }]]),
    });
    onTestFinished(() => tables.close());
    return (key: string) => tables.find('p', key);
  }

  test('times with a zone, infinite times, lists and JSON arrive as what they are', async () => {
    await run(`create table typed (api_key text, at timestamptz, forever timestamptz, never timestamp,
      ips inet[], nets cidr[], limits jsonb, models text[], ratio float8)`);
    await run(`set time zone 'Asia/Kolkata'; insert into typed values ('sk-1', '2027-01-31 10:00:00+05:30', 'infinity',
      '-infinity', '{10.0.0.1,2001:db8::1}', '{10.0.0.0/8}', '{"requests_per_minute": 5}', '{gpt-4o,"a,b"}', 'NaN')`);
    expect(await open({ table: 'typed' })('sk-1')).toEqual({
      api_key: 'sk-1',
      at: '2027-01-31T04:30:00.000Z',
      forever: '9999-12-31T23:59:59.999Z',
      never: '0001-01-01T00:00:00.000Z',
      ips: ['10.0.0.1', '2001:db8::1'],
      nets: ['10.0.0.0/8'],
      limits: { requests_per_minute: 5 },
      models: ['gpt-4o', 'a,b'],
      ratio: 'NaN',
    });
  });

  test('a key that the type of the column cannot hold is unknown, and costs no connection', async () => {
    await run(`create table by_uuid (api_key uuid, name text)`);
    await run(`insert into by_uuid values ('6f1c1f0e-4a53-4f5e-9d61-5a3a4c9c8b11', 'ci')`);
    const find = open({ table: 'by_uuid' });
    expect(await find('sk-not-a-uuid')).toBeUndefined();
    expect(await find('6f1c1f0e-4a53-4f5e-9d61-5a3a4c9c8b11')).toMatchObject({ name: 'ci' });
  });

  test('nothing can be written, not even by a function behind a view', async () => {
    await run(`create table visits (n int)`);
    await run(`create function visit() returns text language sql volatile as
      $$ insert into visits values (1) returning 'sk-1' $$`);
    await run(`create view visiting as select visit() as api_key`);
    await expect(open({ table: 'visiting' })('sk-1')).rejects.toThrow('database main: failed (25006)');
  });

  describe('behind PgBouncer', () => {
    const bouncers: PrivateServer[] = [];
    beforeAll(async () => {
      for (const poolMode of ['transaction', 'statement'] as const) {
        bouncers.push(await startPgbouncer({ server: place.url, poolMode }));
      }
    });
    afterAll(async () => void (await Promise.all(bouncers.map((bouncer) => bouncer.stop()))));

    test('in transaction pooling keys are found, many at once', async () => {
      await run(`create table pooled (api_key text); insert into pooled values ('sk-1')`);
      const find = open({ table: 'pooled' }, bouncers[0]?.url);
      const found = await Promise.all(Array.from({ length: 50 }, (_, i) => find(`sk-${i}`)));
      expect(found.filter((row) => row !== undefined)).toEqual([{ api_key: 'sk-1' }]);
    });

    test('in statement pooling the refusal says what to set', async () => {
      await run('create table by_statement (api_key text)');
      await expect(open({ table: 'by_statement' }, bouncers[1]?.url)('sk-1')).rejects.toThrow(
        'database main: PgBouncer pools by statement, where no transaction can be: set pool_mode to transaction or session',
      );
    });
  });

  test('a table of another schema is found', async () => {
    await run(
      `create schema billing; create table billing.k (api_key text); insert into billing.k values ('sk-1')`,
    );
    expect(await open({ table: 'billing.k' })('sk-1')).toEqual({ api_key: 'sk-1' });
  });
});
