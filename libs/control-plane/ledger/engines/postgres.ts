import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import { errorField, type Engine, type LedgerDatabase } from '../engine.ts';

const connectMs = 5_000;
const statementMs = 30_000;
const dataException = '22';
const integrityViolation = '23';
const serializationFailure = '40001';
const deadlock = '40P01';
// Any number will do, as long as every version of the ledger takes the same one.
const migrationLock = 7_210_405;

export function postgresEngine(url: string, connectionsMax: number): Engine {
  const pool = new pg.Pool({
    connectionString: url,
    max: connectionsMax,
    connectionTimeoutMillis: connectMs,
    query_timeout: statementMs,
    keepAlive: true,
    application_name: 'llmproxy',
  });
  pool.on('error', () => undefined); // an idle connection that breaks is replaced at the next query
  const db = new Kysely<LedgerDatabase>({ dialect: new PostgresDialect({ pool }) });
  return {
    driver: 'postgres',
    db,
    types: { id: 'bigserial primary key', timestamp: 'timestamptz', json: 'jsonb', now: 'now()', table: '' },
    timestamp: (iso) => iso,
    row: (row) => row,
    columns: async (on, table) => {
      const { rows } = await sql<{ name: string; type: string }>`
        select column_name as name, data_type as type from information_schema.columns
        where table_schema = current_schema() and table_name = ${table}`.execute(on);
      return new Map(rows.map(({ name, type }) => [name, { type, charset: null }]));
    },
    exclusively: async (work) => {
      await db.transaction().execute(async (transaction) => {
        await sql`select pg_advisory_xact_lock(${migrationLock})`.execute(transaction);
        await work(transaction);
      });
    },
    refusedValues: (cause) =>
      cause instanceof TypeError ||
      [dataException, integrityViolation].includes(String(errorField(cause, 'code')).slice(0, 2)),
    lostRace: (cause) => [serializationFailure, deadlock].includes(String(errorField(cause, 'code'))),
    close: () => db.destroy(),
  };
}
