import { postgresForTests, recordPostgres, startPgbouncer } from '@llmproxy/real-services';
import pg from 'pg';
import { afterAll, beforeAll, describe } from 'vitest';
import type { LedgerOptions } from './index.ts';
import { ledgerConformance } from './ledger.conformance.ts';

async function start(over: { pooled: boolean; schema?: string }) {
  const place = await postgresForTests();
  const bouncer = over.pooled
    ? await startPgbouncer({ server: place.url, poolMode: 'transaction' })
    : undefined;
  const stop = async () => {
    await bouncer?.stop();
    await place[Symbol.asyncDispose]();
  };
  return { server: place.url, url: bouncer?.url ?? place.url, schema: over.schema, stop };
}

describe.each([
  { where: 'PostgreSQL', pooled: false },
  {
    where: 'PostgreSQL behind PgBouncer in transaction pooling, in a schema of its own',
    pooled: true,
    schema: 'own',
  },
])('$where', (over) => {
  let at: Awaited<ReturnType<typeof start>>;
  beforeAll(async () => void (at = await start(over)));
  afterAll(() => at.stop());
  const optionsFor = (url: string, table: string): LedgerOptions => ({
    driver: 'postgres',
    url,
    table,
    schema: at.schema,
  });

  ledgerConformance(() =>
    Promise.resolve({
      options: (table) => optionsFor(at.url, table),
      run: async (text) => {
        const client = new pg.Client({ connectionString: at.server });
        await client.connect();
        try {
          if (at.schema !== undefined) {
            await client.query(`create schema if not exists ${at.schema}; set search_path = ${at.schema}`);
          }
          return (await client.query<Record<string, unknown>>(text)).rows;
        } finally {
          await client.end();
        }
      },
      statements: async (table, work) => {
        await using recorded = await recordPostgres(at.url);
        await work(optionsFor(recorded.url, table));
        return recorded.statements();
      },
    }),
  );
});
