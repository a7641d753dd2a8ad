/** Which rights the ledger asks of a MySQL or MariaDB user: as few as it can do with, and in words when one is missing. */
import { mariadbForTests, type PlaceForTest } from '@llmproxy/real-services';
import { randomUUID } from 'node:crypto';
import mysql from 'mysql2/promise';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openLedger } from './index.ts';
import { freshTable, usageEvent } from './spec-usage-event.ts';

let place: PlaceForTest;
const writer = `writer_${randomUUID().slice(0, 8)}`;

beforeAll(async () => {
  place = await mariadbForTests();
  await run(`create user ${writer}@localhost`);
});
afterAll(async () => {
  await run(`drop user ${writer}@localhost`);
  await place[Symbol.asyncDispose]();
});

async function run(...statements: string[]): Promise<mysql.RowDataPacket[]> {
  const connection = await mysql.createConnection(place.url);
  try {
    let rows: unknown;
    for (const statement of statements) [rows] = await connection.query(statement);
    return rows as mysql.RowDataPacket[];
  } finally {
    await connection.end();
  }
}

const open = (table: string, user = writer) => {
  const url = new URL(place.url);
  url.username = user;
  return openLedger({ driver: 'mysql', url: url.href, table });
};

const requests = async (table: string) => Number((await run(`select count(*) as n from ${table}`))[0]?.['n']);

test('a user who may create nothing writes to the table that another one made, with the least rights', async () => {
  const table = freshTable();
  await using made = open(table, 'root');
  await made.migrate();
  await run(`grant insert, select (event_id), update on ${table} to ${writer}@localhost`);
  await using ledger = open(table);
  const event = usageEvent();
  await ledger.insert([event]);
  await ledger.insert([event, usageEvent()]);
  expect(await requests(table)).toBe(2);
});

test('what may not be created is told as statements, which let this user insert when somebody has run them', async () => {
  const table = freshTable();
  const other = freshTable();
  await run(`create table ${other} (a int)`, `grant select on ${other} to ${writer}@localhost`);
  await using ledger = open(table);
  const message = String(await ledger.insert([usageEvent()]).catch((cause: Error) => cause.message));
  expect(message).toContain(`create table if not exists \`${table}\` (`);
  expect(message).not.toMatch(/\n/);
  const [, statements = ''] = message.split(' has to run: ');
  await run(...statements.split(';').filter((text) => text.trim() !== ''));
  await ledger.insert([usageEvent()]);
  expect(await requests(table)).toBe(1);
});

test('rights that inserting lacks are told as a statement', async () => {
  const table = freshTable();
  await using made = open(table, 'root');
  await made.migrate();
  await run(`revoke all privileges, grant option from ${writer}@localhost`);
  await run(`grant select on ${table} to ${writer}@localhost`);
  await using ledger = open(table);
  const message = String(await ledger.insert([usageEvent()]).catch((cause: Error) => cause.message));
  expect(message).toContain(`this user may not write to ${table} (INSERT`);
  const [, statements = ''] = message.split(' has to run: ');
  await run(...statements.split(';').filter((text) => text.trim() !== ''));
  await ledger.insert([usageEvent()]);
  expect(await requests(table)).toBe(1);
});
