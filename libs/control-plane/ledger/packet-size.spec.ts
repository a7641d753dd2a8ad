/** A server that takes little at once (`max_allowed_packet`), and events that are more. */
import { startMariadb, type PrivateServer } from '@llmproxy/real-services';
import mysql from 'mysql2/promise';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { EventsRefused, openLedger } from './index.ts';
import { freshTable, usageEvent } from './spec-usage-event.ts';

const mebibyte = 2 ** 20;
const body = (bytes: number) => ({ prompt: 'p'.repeat(bytes - '{"prompt":""}'.length) });

let server: PrivateServer;
beforeAll(async () => {
  server = await startMariadb();
  await packetBytesMax(mebibyte);
});
afterAll(() => server.stop());
afterEach(() => packetBytesMax(mebibyte));

const packetBytesMax = (bytes: number) => run(`set global max_allowed_packet = ${bytes}`);

async function run(statement: string): Promise<Record<string, unknown>[]> {
  const connection = await mysql.createConnection(server.url);
  try {
    const [rows] = await connection.query(statement);
    return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : [];
  } finally {
    await connection.end();
  }
}

const bodies = (table: string) => run(`select event_id, request_body from ${table} order by event_id`);

test('a batch is written in parts that the server takes, and a body beyond it gives way to a mark', async () => {
  const table = freshTable();
  await using ledger = openLedger({ driver: 'mysql', url: server.url, table });
  const fitting = [0, 1, 2, 3, 4, 5].map((n) =>
    usageEvent({ event_id: `f${n}`, request_body: body(600_000) }),
  );
  const oversized = usageEvent({ event_id: 'x1', request_body: body(16 * mebibyte) });
  const small = [usageEvent({ event_id: 'a1' }), usageEvent({ event_id: 'z1' })];
  await ledger.insert([...small, oversized, ...fitting]);
  expect(await bodies(table)).toEqual([
    { event_id: 'a1', request_body: null },
    ...fitting.map(({ event_id }) => ({ event_id, request_body: body(600_000) })),
    { event_id: 'x1', request_body: { omitted: 'too large', bytes: 16 * mebibyte } },
    { event_id: 'z1', request_body: null },
  ]);
  // The limit was asked for, not run into: that ends the connection.
  const [aborted] = await run(`show global status like 'Aborted_clients'`);
  expect(aborted?.['Value']).toBe('0');
});

test('a limit that is lowered under way is found by running into it', async () => {
  const table = freshTable();
  await packetBytesMax(16 * mebibyte);
  await using ledger = openLedger({ driver: 'mysql', url: server.url, table, connectionsMax: 1 });
  await ledger.migrate();
  await packetBytesMax(mebibyte);
  const [connected] = await run(
    'select id from information_schema.processlist where id <> connection_id() and command <> "Daemon" and user = "root"',
  );
  await run(`kill ${Number(connected?.['id'])}`);
  const events = [1, 2, 3].map((n) => usageEvent({ event_id: `e${n}`, request_body: body(700_000) }));
  const oversized = usageEvent({ event_id: 'x', request_body: body(3 * mebibyte) });
  await ledger.insert([...events, oversized]);
  expect(await bodies(table)).toEqual([
    ...events.map(({ event_id, request_body }) => ({ event_id, request_body })),
    { event_id: 'x', request_body: { omitted: 'too large', bytes: 3 * mebibyte } },
  ]);
});

test('an event that is too large without its body is named, and no other is held up', async () => {
  const table = freshTable();
  await packetBytesMax(4096);
  await using ledger = openLedger({ driver: 'mysql', url: server.url, table });
  const long = '😀'.repeat(512);
  const wide = usageEvent({ event_id: 'wide', model: long, path: long, backend_url: long });
  const insert = ledger.insert([usageEvent(), { ...wide, request_body: body(5_000) }, usageEvent()]);
  const cause = await insert.catch((thrown: unknown) => thrown);
  expect(cause).toBeInstanceOf(EventsRefused);
  expect((cause as EventsRefused).events.map(({ event_id }) => event_id)).toEqual(['wide']);
  expect((await ledger.totals()).map(({ requests }) => requests)).toEqual([2]);
});

test('a body beyond its column gives way to a mark', async () => {
  const table = freshTable();
  await packetBytesMax(16 * mebibyte);
  await run(`create table ${table} (request_body text)`); // 64 KiB
  await run(`alter table ${table} add (request_id varchar(64), timestamp varchar(40), api_key varchar(128),
    user_id varchar(64), method varchar(10), path varchar(128), backend_url varchar(256), status_code int,
    latency_ms bigint, prompt_tokens int, completion_tokens int, total_tokens int)`);
  await using ledger = openLedger({ driver: 'mysql', url: server.url, table });
  await ledger.insert([
    usageEvent({ event_id: 'a' }),
    usageEvent({ event_id: 'b', request_body: body(70_000) }),
  ]);
  expect(await bodies(table)).toEqual([
    { event_id: 'a', request_body: null },
    { event_id: 'b', request_body: '{"omitted":"too large","bytes":70000}' },
  ]);
});
