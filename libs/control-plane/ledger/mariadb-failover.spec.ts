/** The ledger behind a proxy that fails over from one MariaDB to another. */
import { startHaproxy, startMariadb, type Haproxy, type PrivateServer } from '@llmproxy/real-services';
import mysql from 'mysql2/promise';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openLedger } from './index.ts';
import { usageEvent } from './spec-usage-event.ts';

let old: PrivateServer, next: PrivateServer, proxy: Haproxy;
beforeAll(async () => {
  [old, next] = await Promise.all([startMariadb(), startMariadb()]);
  const sockets = [old, next].map(({ url }) => socketOf(url));
  proxy = await startHaproxy({ sockets, socketName: 'mariadb.sock' });
});
afterAll(async () => void (await Promise.all([proxy.stop(), old.stop(), next.stop()])));

async function run(url: string, ...statements: string[]): Promise<mysql.RowDataPacket[]> {
  const connection = await mysql.createConnection(url);
  try {
    let rows: unknown;
    for (const statement of statements) [rows] = await connection.query(statement);
    return rows as mysql.RowDataPacket[];
  } finally {
    await connection.end();
  }
}

const socketOf = (url: string) => String(new URL(url).searchParams.get('socketPath'));

const requests = async (url: string) =>
  Number((await run(url, 'select count(*) as n from llmproxy.usage_records'))[0]?.['n']);

test('events reach the new primary without a restart when the old one answers that it is read-only', async () => {
  // `root` may write whatever read_only says.
  const user = [
    'create database llmproxy',
    `create user w@localhost`,
    'grant all on llmproxy.* to w@localhost',
  ];
  for (const { url } of [old, next]) await run(url, ...user);
  const urlAt = (socket: string) => `mysql://w@localhost/llmproxy?socketPath=${encodeURIComponent(socket)}`;
  await using ledger = openLedger({ driver: 'mysql', url: urlAt(`${proxy.folder}/mariadb.sock`) });
  await ledger.insert([usageEvent()]);
  await using replica = openLedger({ driver: 'mysql', url: urlAt(socketOf(next.url)) });
  await replica.migrate();
  await proxy.lead(1);
  await run(old.url, 'set global read_only = 1');
  const event = usageEvent();
  // As the worker does: the same events again until they are in.
  await expect.poll(() => ledger.insert([event]).then(() => 'written', String)).toBe('written');
  expect([await requests(old.url), await requests(next.url)]).toEqual([1, 1]);
});
