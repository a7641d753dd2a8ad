/** Which rights the ledger asks of a PostgreSQL role: as few as it can do with, and in words when one is missing. */
import { postgresForTests, type PlaceForTest } from '@llmproxy/real-services';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openLedger } from './index.ts';
import { freshTable, usageEvent } from './spec-usage-event.ts';

let place: PlaceForTest;
/** May create in the database; may only connect to it. */
let owner: string, writer: string;

beforeAll(async () => {
  place = await postgresForTests();
  [owner, writer] = ['owner', 'writer'].map((kind) => `${kind}_${randomUUID().slice(0, 8)}`) as [
    string,
    string,
  ];
  await run(place.url, `create role ${owner} login; create role ${writer} login`);
  await run(
    place.url,
    `grant create on database ${database()} to ${owner}; revoke create on schema public from public`,
  );
});
afterAll(async () => {
  await run(
    place.url,
    `drop owned by ${owner} cascade; drop owned by ${writer}; drop role ${owner}, ${writer}`,
  );
  await place[Symbol.asyncDispose]();
});

const database = () => new URL(place.url).pathname.slice(1);

function as(role: string): string {
  const url = new URL(place.url);
  url.username = role;
  return url.href;
}

async function run(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const results = (await client.query(text)) as unknown as pg.QueryResult | pg.QueryResult[];
    return [results].flat().flatMap(({ rows }) => rows as Record<string, unknown>[]);
  } finally {
    await client.end();
  }
}

async function freshSchema(): Promise<string> {
  const schema = `s_${randomUUID().slice(0, 8)}`;
  await run(as(owner), `create schema ${schema}; grant usage on schema ${schema} to ${writer}`);
  return schema;
}

const open = (role: string, over: { schema?: string; table?: string } = {}) =>
  openLedger({ driver: 'postgres', url: as(role), ...over });

const requests = async (schema: string, table: string) =>
  Number((await run(as(owner), `select count(*) from ${schema}.${table}`))[0]?.['count']);

test('a role that may create nothing writes to the tables that another one made', async () => {
  const schema = await freshSchema();
  const table = freshTable();
  await using made = open(owner, { schema, table });
  await made.migrate();
  await run(
    as(owner),
    `grant select, insert on ${schema}.${table} to ${writer}; grant select on ${schema}.llmproxy_migrations to ${writer}`,
  );
  await using ledger = open(writer, { schema, table });
  const event = usageEvent();
  await ledger.insert([event]);
  await ledger.insert([event, usageEvent()]);
  expect(await requests(schema, table)).toBe(2);
});

test('to insert, the least is enough: no look at the record of migrations, no read but of the event ids', async () => {
  const schema = await freshSchema();
  const table = freshTable();
  await using made = open(owner, { schema, table });
  await made.migrate();
  await run(as(owner), `grant insert, select (event_id) on ${schema}.${table} to ${writer}`);
  await using ledger = open(writer, { schema, table });
  await ledger.insert([usageEvent()]);
  expect(await requests(schema, table)).toBe(1);
});

test('a table found by the search path serves a role that may not create where it looks first', async () => {
  const table = freshTable();
  const schema = await freshSchema();
  await using made = open(owner, { schema, table });
  await made.migrate();
  await run(as(owner), `grant select, insert on ${schema}.${table} to ${writer}`);
  await run(place.url, `alter role ${writer} in database ${database()} set search_path = public, ${schema}`);
  await using ledger = open(writer, { table });
  await ledger.insert([usageEvent()]);
  await run(place.url, `alter role ${writer} in database ${database()} reset search_path`);
  expect(await requests(schema, table)).toBe(1);
});

test('what may not be created is told as statements, which let this role insert when the owner has run them', async () => {
  const schema = `s_${randomUUID().slice(0, 8)}`;
  const table = freshTable();
  await run(as(owner), `create schema ${schema}`);
  await using ledger = open(writer, { schema, table });
  const message = String(await ledger.insert([usageEvent()]).catch((cause: Error) => cause.message));
  expect(message).toContain(`permission denied for schema ${schema}`);
  expect(message).toContain(`create table if not exists "${schema}"."${table}" (`);
  expect(message).not.toMatch(/\n/);
  const [, statements = ''] = message.split(' has to run: ');
  await run(as(owner), statements);
  await ledger.insert([usageEvent()]);
  expect(await requests(schema, table)).toBe(1);
});

test('only what is missing is asked for', async () => {
  const schema = await freshSchema();
  const table = freshTable();
  await using made = open(owner, { schema, table });
  await made.migrate();
  await run(
    as(owner),
    `alter table ${schema}.${table} drop column reasoning_tokens; drop table ${schema}.llmproxy_migrations;
     grant select, insert on ${schema}.${table} to ${writer}`,
  );
  await using ledger = open(writer, { schema, table });
  const message = String(await ledger.insert([usageEvent()]).catch((cause: Error) => cause.message));
  expect(message).toContain(`alter table "${schema}"."${table}" add column "reasoning_tokens" bigint;`);
  expect(message.match(/alter table|create (unique )?index|create table/g)).toEqual([
    'create table',
    'alter table',
  ]);
});

test('an index that only reading misses holds up no event', async () => {
  const schema = await freshSchema();
  const table = freshTable();
  await using made = open(owner, { schema, table });
  await made.migrate();
  await run(
    as(owner),
    `drop index ${schema}.idx_${table}_model; drop table ${schema}.llmproxy_migrations;
     grant select, insert on ${schema}.${table} to ${writer}`,
  );
  await using ledger = open(writer, { schema, table });
  await ledger.insert([usageEvent()]);
  expect(await requests(schema, table)).toBe(1);
});

test('a schema that is not there is made by a role that may, and asked for by one that may not', async () => {
  const schema = `s_${randomUUID().slice(0, 8)}`;
  await using refused = open(writer, { schema });
  await expect(refused.migrate()).rejects.toThrow(
    `has to run: create schema if not exists "${schema}"; create table`,
  );
  await using ledger = open(owner, { schema });
  await ledger.insert([usageEvent()]);
  expect(await requests(schema, 'usage_records')).toBe(1);
});

test('a table that is gone is made again', async () => {
  const schema = await freshSchema();
  const table = freshTable();
  await using first = open(owner, { schema, table });
  await first.insert([usageEvent()]);
  await run(as(owner), `drop table ${schema}.${table}`);
  await using later = open(owner, { schema, table });
  await later.insert([usageEvent()]);
  expect(await requests(schema, table)).toBe(1);
});

test.each(['an identity column', 'a sequence of its own'])(
  'rights that inserting lacks are told as statements, where the number of a row is %s',
  async (kind) => {
    const schema = `s_${randomUUID().slice(0, 8)}`;
    const table = freshTable();
    await using made = open(owner, { schema, table });
    await made.migrate();
    if (kind === 'a sequence of its own') {
      await run(
        as(owner),
        `set search_path = ${schema}; alter table ${table} alter id drop identity;
         create sequence ${table}_id owned by ${table}.id; alter table ${table} alter id set default nextval('${table}_id')`,
      );
    }
    await using ledger = open(writer, { schema, table });
    const message = String(await ledger.insert([usageEvent()]).catch((cause: Error) => cause.message));
    const [lack = '', statements = ''] = message.split(' has to run: ');
    expect(lack).toBe(
      `this user may not write to ${table} (permission denied for schema ${schema}); somebody who may`,
    );
    await run(as(owner), statements);
    await ledger.insert([usageEvent()]);
    expect(await requests(schema, table)).toBe(1);
  },
);
