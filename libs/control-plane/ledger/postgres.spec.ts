import { postgresForTests, recordPostgres, type PlaceForTest } from '@llmproxy/real-services';
import pg from 'pg';
import { afterAll, beforeAll, describe } from 'vitest';
import { ledgerConformance } from './ledger.conformance.ts';

describe('PostgreSQL', () => {
  let place: PlaceForTest;
  beforeAll(async () => void (place = await postgresForTests()));
  afterAll(() => place[Symbol.asyncDispose]());

  ledgerConformance(() =>
    Promise.resolve({
      options: (table) => ({ driver: 'postgres', url: place.url, table }),
      run: async (text) => {
        const client = new pg.Client({ connectionString: place.url });
        await client.connect();
        try {
          return (await client.query<Record<string, unknown>>(text)).rows;
        } finally {
          await client.end();
        }
      },
      statements: async (table, work) => {
        await using recorded = await recordPostgres(place.url);
        await work({ driver: 'postgres', url: recorded.url, table });
        return recorded.statements();
      },
    }),
  );
});
