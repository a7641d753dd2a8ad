/** What `sql_mode` a server runs with decides how it reads quotes, backslashes and values that do not fit. */
import { startMariadb, type PrivateServer } from '@llmproxy/real-services';
import type { UsageEvent } from '@llmproxy/usage-queue';
import fc from 'fast-check';
import mysql from 'mysql2/promise';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { EventsRefused, openLedger } from './index.ts';
import { freshTable, usageEvent } from './spec-usage-event.ts';

const runs = 30;

/** Texts that mean something to a parser of SQL, in UTF-8 or in GBK, beside any others. */
const meaningful = [
  ...[
    "'",
    "''",
    `\\'`,
    '"',
    '\\"',
    '`',
    '\\',
    '\\\\',
    '\\0',
    '\\Z',
    ';',
    '--',
    '#',
    '/*',
    '*/',
    '%',
    '_',
    '?',
    ':a',
  ],
  ...['$1', '\n', '\r', '\t', '\b', '\x1a', 'null', 'é', '😀', '縗', '\u00bf\\', "誠'", "運\\'", ' '],
];
const text = (charactersMax: number) =>
  fc
    .array(fc.oneof(fc.constantFrom(...meaningful), fc.string({ unit: 'binary', maxLength: 4 })), {
      maxLength: 8,
    })
    .map((parts) => [...parts.join('').replaceAll('\0', '')].slice(0, charactersMax).join(''));

const tokens = fc.nat(2_147_483_647);
const events = fc.array(
  fc
    .record({
      request_id: text(128),
      key_id: text(64),
      api_key: text(128),
      user_id: fc.option(text(64)),
      model: fc.option(text(256)),
      method: text(10),
      path: text(512),
      endpoint: text(64),
      backend: fc.option(text(128)),
      backend_url: text(256),
      is_stream: fc.boolean(),
      ttft_ms: fc.option(fc.double({ min: 0, max: 1e9, noNaN: true, noDefaultInfinity: true })),
      usage: fc.record({ prompt_tokens: tokens, completion_tokens: tokens, total_tokens: tokens }),
      request_body: fc.record({ [`it's`]: text(64), prompt: fc.array(text(64), { maxLength: 3 }) }),
    })
    .map((fields) => usageEvent(fields)),
  { minLength: 1, maxLength: 5 },
);

/** What the table shall say of an event. */
const rowOf = ({ usage, ...event }: UsageEvent) => ({
  ...event,
  ...usage,
  timestamp: event.timestamp.replace('T', ' ').replace('Z', ''),
  is_stream: event.is_stream ? 1 : 0,
});

const sorted = (rows: Record<string, unknown>[]) =>
  rows.toSorted((a, b) => (String(a['event_id']) < String(b['event_id']) ? -1 : 1));

describe.each([
  { mode: 'default' },
  { mode: '' },
  { mode: 'NO_BACKSLASH_ESCAPES' },
  { mode: 'ANSI_QUOTES,PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE' },
  { mode: 'TRADITIONAL,NO_BACKSLASH_ESCAPES' },
  { mode: 'ORACLE,EMPTY_STRING_IS_NULL' },
])('MariaDB whose sql_mode is "$mode"', ({ mode }) => {
  beforeEach(() => run(`set global sql_mode = ${mode === 'default' ? mode : `'${mode}'`}`));

  test('what goes in comes out, and nothing else changes', async () => {
    const table = freshTable();
    await using ledger = openLedger({ driver: 'mysql', url: server.url, table });
    await ledger.insert([]);
    const written = new Map<string, UsageEvent>();
    await fc.assert(
      fc.asyncProperty(events, async (batch) => {
        await ledger.insert(batch);
        for (const event of batch) written.set(event.event_id, event);
        const rows = await run(`select * from ${table}`);
        const found = rows.map(({ id: _, created_at: __, request_body, ...row }) => ({
          ...Object.fromEntries(Object.keys(rowOf(batch[0]!)).map((column) => [column, row[column]])),
          request_body,
        }));
        expect(sorted(found)).toEqual(sorted([...written.values()].map(rowOf)));
      }),
      { numRuns: runs },
    );
  });

  test('what does not fit is refused, not mutilated', async () => {
    await using ledger = openLedger({ driver: 'mysql', url: server.url, table: freshTable() });
    const insert = ledger.insert([usageEvent(), usageEvent({ status_code: 2 ** 40 })]);
    await expect(insert).rejects.toBeInstanceOf(EventsRefused);
    expect((await ledger.totals()).map(({ requests }) => requests)).toEqual([1]);
  });
});

test('rows are dated in UTC wherever the server is', async () => {
  await run(`set global time_zone = '-11:00'`);
  const table = freshTable();
  await using ledger = openLedger({ driver: 'mysql', url: server.url, table });
  await ledger.insert([usageEvent()]);
  await run(`set global time_zone = system`);
  const [row] = await run(
    `select timestamp, abs(timestampdiff(minute, created_at, utc_timestamp())) as off from ${table}`,
  );
  expect(row?.['timestamp']).toBe('2026-02-03 04:05:06.789');
  expect(Number(row?.['off'])).toBeLessThan(60);
});

test('batches of many sizes leave few statements prepared', async () => {
  await using ledger = openLedger({
    driver: 'mysql',
    url: server.url,
    table: freshTable(),
    connectionsMax: 2,
  });
  for (let size = 1; size <= 40; size += 1) {
    await ledger.insert(Array.from({ length: size }, () => usageEvent()));
  }
  const [prepared] = await run(`show global status like 'Prepared_stmt_count'`);
  expect(Number(prepared?.['Value'])).toBeGreaterThan(0);
  expect(Number(prepared?.['Value'])).toBeLessThanOrEqual(20);
});

let server: PrivateServer;
beforeAll(async () => void (server = await startMariadb()));
afterAll(() => server.stop());

async function run(statement: string): Promise<Record<string, unknown>[]> {
  const connection = await mysql.createConnection({ uri: server.url, dateStrings: true, charset: 'utf8mb4' });
  try {
    const [rows] = await connection.execute(statement);
    return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : [];
  } finally {
    await connection.end();
  }
}
