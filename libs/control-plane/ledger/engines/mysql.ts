/** MySQL and MariaDB. DDL commits by itself there, so a migration must be able to run again after half of it was done. */
import { Kysely, MysqlDialect, sql } from 'kysely';
import { errorField, type Column, type Engine, type LedgerDatabase } from '../engine.ts';
import { preparingPool } from './mysql-pool.ts';

const lockS = 60;
const dataException = '22';
const integrityViolation = '23';
// These two come with the general SQLSTATE HY000.
const incorrectValue = 1366;
const checkViolation = 3819;
const deadlock = 1213;

export function mysqlEngine(url: string, connectionsMax: number): Engine {
  const db = new Kysely<LedgerDatabase>({
    dialect: new MysqlDialect({ pool: preparingPool(url, connectionsMax) }),
  });
  return {
    driver: 'mysql',
    db,
    types: {
      id: 'bigint auto_increment primary key',
      timestamp: 'datetime(3)',
      json: 'json',
      now: 'current_timestamp(3)', // in the session's zone, which is UTC
      table: 'default character set utf8mb4 collate utf8mb4_bin',
    },
    timestamp: utcDatetime,
    row: (row) => ({ ...row, timestamp: utcDatetime(row.timestamp) }),
    columns: async (on, table) => {
      const { rows } = await sql<Column & { name: string }>`
        select column_name as name, data_type as type, character_set_name as charset
        from information_schema.columns
        where table_schema = database() and table_name = ${table}`.execute(on);
      return new Map(rows.map(({ name, ...column }) => [name, column]));
    },
    exclusively: (work) => locked(db, work),
    refusedValues: (cause) =>
      cause instanceof TypeError ||
      [incorrectValue, checkViolation].includes(Number(errorField(cause, 'errno'))) ||
      [dataException, integrityViolation].includes(String(errorField(cause, 'sqlState')).slice(0, 2)),
    lostRace: (cause) => errorField(cause, 'errno') === deadlock,
    close: () => db.destroy(),
  };
}

/** `2026-02-03T04:05:06.789Z` → `2026-02-03 04:05:06.789`, which DATETIME takes in every SQL mode. */
function utcDatetime(iso: string): string {
  return new Date(iso).toISOString().replace('T', ' ').replace('Z', '');
}

async function locked(
  db: Kysely<LedgerDatabase>,
  work: (db: Kysely<LedgerDatabase>) => Promise<void>,
): Promise<void> {
  await db.connection().execute(async (connection) => {
    const { rows } = await sql<{
      got: number | null;
    }>`select get_lock('llmproxy_migrations', ${lockS}) as got`.execute(connection);
    if (Number(rows[0]?.got) !== 1)
      throw new Error('another process migrates this database; trying again later');
    try {
      await work(connection);
    } finally {
      await sql`select release_lock('llmproxy_migrations')`.execute(connection);
    }
  });
}
