import { mariadbForTests, recordMariadb, type PlaceForTest } from '@llmproxy/real-services';
import mysql from 'mysql2/promise';
import { afterAll, beforeAll, describe } from 'vitest';
import { ledgerConformance } from './ledger.conformance.ts';

describe('MariaDB', () => {
  let place: PlaceForTest;
  beforeAll(async () => void (place = await mariadbForTests()));
  afterAll(() => place[Symbol.asyncDispose]());

  ledgerConformance(() =>
    Promise.resolve({
      options: (table) => ({ driver: 'mysql', url: place.url, table }),
      run: async (text) => {
        const connection = await mysql.createConnection(place.url);
        try {
          const [rows] = await connection.query(text);
          return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : [];
        } finally {
          await connection.end();
        }
      },
      statements: async (table, work) => {
        await using recorded = await recordMariadb(place.url);
        await work({ driver: 'mysql', url: recorded.url, table });
        return recorded.statements();
      },
    }),
  );
});
