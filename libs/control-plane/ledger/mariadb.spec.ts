import { mariadbForTests, recordMariadb, type PlaceForTest } from '@llmproxy/real-services';
import mysql from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openLedger } from './index.ts';
import { ledgerConformance, tableOfReplacedSystem } from './ledger.conformance.ts';
import { usageEvent } from './spec-usage-event.ts';

async function runOn(url: string, text: string): Promise<Record<string, unknown>[]> {
  const connection = await mysql.createConnection(url);
  try {
    const [rows] = await connection.query(text);
    return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : [];
  } finally {
    await connection.end();
  }
}

describe('MariaDB', () => {
  let place: PlaceForTest;
  beforeAll(async () => void (place = await mariadbForTests()));
  afterAll(() => place[Symbol.asyncDispose]());

  ledgerConformance(() =>
    Promise.resolve({
      options: (table) => ({ driver: 'mysql', url: place.url, table }),
      run: (text) => runOn(place.url, text),
      statements: async (table, work) => {
        await using recorded = await recordMariadb(place.url);
        await work({ driver: 'mysql', url: recorded.url, table });
        return recorded.statements();
      },
    }),
  );

  test.each(['made by the ledger', 'of the replaced system'])(
    'a table %s holds any text where the database holds Latin 1 only',
    async (made) => {
      await using latin = await mariadbForTests();
      const name = new URL(latin.url).pathname.slice(1);
      await runOn(latin.url, `alter database ${name} character set latin1 collate latin1_swedish_ci`);
      if (made === 'of the replaced system') {
        await runOn(latin.url, tableOfReplacedSystem('usage_records'));
        await runOn(latin.url, `insert into usage_records (request_id, request_body) values ('old', '"é"')`);
      }
      await using ledger = openLedger({ driver: 'mysql', url: latin.url });
      await ledger.insert([usageEvent({ model: '😀', path: '/日本', request_body: { prompt: 'ł😀' } })]);
      const rows = await runOn(
        latin.url,
        'select model, path, request_body from usage_records order by path',
      );
      const texts = rows.map(({ request_body, ...row }) => ({
        ...row,
        request_body: typeof request_body === 'string' ? (JSON.parse(request_body) as unknown) : request_body,
      }));
      const written = { model: '😀', path: '/日本', request_body: { prompt: 'ł😀' } };
      const old = made === 'of the replaced system' ? [{ model: null, path: null, request_body: 'é' }] : [];
      expect(texts).toEqual([...old, written]);
    },
  );
});
