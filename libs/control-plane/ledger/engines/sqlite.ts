/** SQLite through node:sqlite, which needs no compiler at install. One file, one writer at a time, readers never wait. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { Kysely, sql, SqliteDialect, type SqliteDatabase } from 'kysely';
import { errorField, type Engine, type LedgerDatabase } from '../engine.ts';
import type { Column, TableState } from '../migrations/migration.ts';

const busyTimeoutMs = 2_000;
const lockPollMs = 20;
const lockMsMax = 30_000;
const busy = 5;
const constraint = 19;
const mismatch = 20;
const tooBig = 18;
/** SQLITE_MAX_LENGTH of a row. */
const lengthMax = 1_000_000_000;

export function sqliteEngine(path: string): Engine {
  const db = new Kysely<LedgerDatabase>({
    dialect: new SqliteDialect({ database: () => Promise.resolve(openFile(path)) }),
  });
  return {
    driver: 'sqlite',
    db,
    schema: undefined,
    types: {
      id: 'integer primary key autoincrement',
      timestamp: 'datetime',
      json: 'text',
      now: "(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))",
      table: '',
    },
    timestamp: (iso) => new Date(iso).toISOString(),
    row: (row) => ({
      ...row,
      timestamp: new Date(row.timestamp).toISOString(),
      is_stream: (row.is_stream ? 1 : 0) as never,
    }),
    look,
    missingGrants: () => Promise.resolve([]),
    exclusively: (work) => immediately(db, work),
    refusedFor: (cause) => {
      const code = Number(errorField(cause, 'errcode')) & 0xff;
      if (code === tooBig) return 'size';
      return cause instanceof TypeError || [constraint, mismatch].includes(code) ? 'values' : undefined;
    },
    lostConnection: () => false,
    statementBytesMax: () => lengthMax,
    refusedRights: () => false, // who may write the file may do all
    lostRace: () => false, // one writer at a time: the others wait
    close: () => db.destroy(),
  };
}

async function look(on: Kysely<LedgerDatabase>, table: string): Promise<TableState> {
  const columns = await sql<Column>`
    select name, lower(type) as type, null as charset, null as width from pragma_table_info(${table})`.execute(
    on,
  );
  const indexes = await sql<{ name: string; uniqueColumn: string | null }>`
    select name, (
      select max(column.name) from pragma_index_info(list.name) as column having list."unique" and count(*) = 1
    ) as uniqueColumn
    from pragma_index_list(${table}) as list`.execute(on);
  return {
    exists: columns.rows.length > 0,
    hasSchema: true,
    columns: new Map(columns.rows.map((column) => [column.name, column])),
    indexes: new Set(indexes.rows.map(({ name }) => name)),
    unique: new Set(indexes.rows.flatMap(({ uniqueColumn }) => uniqueColumn ?? [])),
  };
}

function openFile(path: string): SqliteDatabase {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true });
  const file = new DatabaseSync(path, { timeout: busyTimeoutMs });
  file.exec('pragma journal_mode = wal; pragma synchronous = normal;');
  return {
    close: () => file.close(),
    prepare: (text) => {
      const statement = file.prepare(text);
      const bound = (parameters: readonly unknown[]) => parameters as SQLInputValue[];
      return {
        reader: statement.columns().length > 0,
        all: (parameters) => statement.all(...bound(parameters)),
        run: (parameters) => statement.run(...bound(parameters)),
        iterate: (parameters) => statement.iterate(...bound(parameters)),
      };
    },
  };
}

/**
 * A transaction that takes the write lock at its start: a deferred one would let two processes read the same state. The
 * wait for the lock is ours, because SQLite's own would block this thread, and with it whoever holds the lock in it.
 */
async function immediately(
  db: Kysely<LedgerDatabase>,
  work: (db: Kysely<LedgerDatabase>) => Promise<void>,
): Promise<void> {
  await db.connection().execute(async (connection) => {
    await beginImmediate(connection);
    try {
      await work(connection);
      await sql`commit`.execute(connection);
    } catch (cause) {
      await sql`rollback`.execute(connection);
      throw cause;
    }
  });
}

async function beginImmediate(connection: Kysely<LedgerDatabase>): Promise<void> {
  await sql`pragma busy_timeout = 0`.execute(connection);
  try {
    for (let waitedMs = 0; ; waitedMs += lockPollMs) {
      try {
        await sql`begin immediate`.execute(connection);
        return;
      } catch (cause) {
        if (errorField(cause, 'errcode') !== busy || waitedMs >= lockMsMax) throw cause;
        await delay(lockPollMs);
      }
    }
  } finally {
    await sql`pragma busy_timeout = ${sql.lit(busyTimeoutMs)}`.execute(connection);
  }
}
