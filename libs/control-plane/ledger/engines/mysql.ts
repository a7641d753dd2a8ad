/** MySQL and MariaDB. DDL commits by itself there, so a migration must be able to run again after half of it was done. */
import { isMysqlHangUp, openMysqlPool, type MysqlPool, type SqlTls } from '@llmproxy/sql-connections';
import {
  Kysely,
  MysqlDialect,
  sql,
  type MysqlPool as KyselyPool,
  type MysqlPoolConnection,
  type MysqlQueryResult,
} from 'kysely';
import { errorField, type Engine, type LedgerDatabase, type Refusal } from '../engine.ts';
import type { Column, TableState } from '../migrations/migration.ts';

const lockS = 20;
const statementMs = 30_000;
const dataException = '22';
const integrityViolation = '23';
// These two come with the general SQLSTATE HY000.
const incorrectValue = 1366;
const checkViolation = 3819;
const deadlock = 1213;
/** For a database, a table, a column; and for an operation of administrators. */
const deniedRights = [1044, 1142, 1143, 1227];
/** A packet beyond `max_allowed_packet`, a row beyond the engine's, a value beyond its column's (TEXT: 64 KiB). */
const tooLarge = new Set([1153, 1118, 1406]);

export interface MysqlChoice {
  url: string;
  connectionsMax: number;
  tls: SqlTls | undefined;
}

export function mysqlEngine(choice: MysqlChoice): Engine {
  const pool = openMysqlPool(choice);
  const db = new Kysely<LedgerDatabase>({ dialect: new MysqlDialect({ pool: kyselyPool(pool) }) });
  return {
    driver: 'mysql',
    db,
    schema: undefined,
    types: {
      id: 'bigint auto_increment primary key',
      timestamp: 'datetime(3)',
      json: 'json',
      now: 'current_timestamp(3)', // in the session's zone, which is UTC
      table: 'default character set utf8mb4 collate utf8mb4_bin',
    },
    timestamp: utcDatetime,
    row: (row) => ({ ...row, timestamp: utcDatetime(row.timestamp) }),
    look,
    missingGrants: (table) => grants(db, table),
    exclusively: (work) => locked(db, work),
    refusedFor,
    lostConnection: isMysqlHangUp,
    statementBytesMax: () => pool.packetBytesMax(),
    refusedRights: (cause) => deniedRights.includes(Number(errorField(cause, 'errno'))),
    lostRace: (cause) => errorField(cause, 'errno') === deadlock,
    close: () => db.destroy(),
  };
}

/** As kysely calls it; cursors and cancelling, the rest of what it can ask of a connection, are not used here. */
function kyselyPool(pool: MysqlPool): KyselyPool {
  return {
    getConnection: (callback) =>
      void pool.connect().then(
        ({ query, release }) => {
          const run: Query = (text, values, done) => {
            // What has no values alters tables, which may take hours.
            const timeoutMs = values.length === 0 ? undefined : statementMs;
            void query({ text, values, timeoutMs }).then(
              ([result]) => done(undefined, result as never),
              done,
            );
          };
          callback(undefined, { query: run, release } as unknown as MysqlPoolConnection);
        },
        (cause: unknown) => callback(cause, undefined as never),
      ),
    end: (callback) => void pool.end().then(() => callback(undefined), callback),
  };
}

type Query = (
  text: string,
  values: readonly unknown[],
  done: (cause: unknown, result?: MysqlQueryResult) => void,
) => void;

/** The catalog shows what this user has any right to. */
async function look(on: Kysely<LedgerDatabase>, table: string): Promise<TableState> {
  const columns = await sql<Column>`
    select column_name as name, data_type as type, character_set_name as charset,
      character_maximum_length as width
    from information_schema.columns
    where table_schema = database() and table_name = ${table}`.execute(on);
  const indexes = await sql<{ name: string; uniqueColumn: string | null }>`
    select index_name as name,
      case when max(non_unique) = 0 and count(*) = 1 then max(column_name) end as uniqueColumn
    from information_schema.statistics
    where table_schema = database() and table_name = ${table} group by index_name`.execute(on);
  return {
    exists: columns.rows.length > 0,
    hasSchema: true,
    columns: new Map(
      // Bounds of long texts can be beyond what a number holds; the driver gives them as text then.
      columns.rows.map((column) => [column.name, { ...column, width: column.width && Number(column.width) }]),
    ),
    indexes: new Set(indexes.rows.map(({ name }) => name)),
    unique: new Set(indexes.rows.flatMap(({ uniqueColumn }) => uniqueColumn ?? [])),
  };
}

function refusedFor(cause: unknown): Refusal['for'] | undefined {
  const errno = Number(errorField(cause, 'errno'));
  if (tooLarge.has(errno)) return 'size';
  const sqlClass = String(errorField(cause, 'sqlState')).slice(0, 2);
  const values =
    cause instanceof TypeError ||
    [incorrectValue, checkViolation].includes(errno) ||
    [dataException, integrityViolation].includes(sqlClass);
  return values ? 'values' : undefined;
}

/** All that inserting asks for: this user cannot see what it lacks. */
async function grants(db: Kysely<LedgerDatabase>, table: string): Promise<string[]> {
  const { rows } = await sql<{ place: string; user: string }>`
    select database() as place, current_user() as user`.execute(db);
  return rows.map(({ place, user }) => {
    const [name = '', host = ''] = user.split(/@(?=[^@]*$)/);
    // \`update\` is what \`on duplicate key update\` asks for, of all columns that are inserted.
    return `grant insert, update, select (event_id) on \`${place}\`.\`${table}\` to '${name}'@'${host}'`;
  });
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
