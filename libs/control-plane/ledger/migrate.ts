/**
 * Brings one ledger table to the newest schema. Guarantee: each migration is done once per table, in order, however many
 * workers start at the same moment.
 */
import { sql, type Kysely } from 'kysely';
import type { Engine, LedgerDatabase } from './engine.ts';
import { usageRecords } from './migrations/0001-usage-records.ts';
import { eventColumns } from './migrations/0002-event-columns.ts';
import { indexes } from './migrations/0003-indexes.ts';
import { wideColumns } from './migrations/0004-wide-columns.ts';

export interface Migration {
  /** Recorded in `llmproxy_migrations`: never rename one that was released. */
  readonly name: string;
  up(on: { db: Kysely<LedgerDatabase>; engine: Engine; table: string }): Promise<void>;
}

const migrations: readonly Migration[] = [usageRecords, eventColumns, indexes, wideColumns];

/** @returns the names of the migrations that were done now */
export async function migrate(engine: Engine, table: string): Promise<string[]> {
  const done: string[] = [];
  await engine.exclusively(async (db) => {
    await createRecord(db, engine);
    const { rows } = await sql<{ name: string }>`
      select name from llmproxy_migrations where table_name = ${table}`.execute(db);
    const recorded = new Set(rows.map((row) => row.name));
    for (const migration of migrations.filter(({ name }) => !recorded.has(name))) {
      await migration.up({ db, engine, table });
      await sql`insert into llmproxy_migrations (table_name, name) values (${table}, ${migration.name})`.execute(
        db,
      );
      done.push(migration.name);
    }
  });
  return done;
}

async function createRecord(db: Kysely<LedgerDatabase>, engine: Engine): Promise<void> {
  const { timestamp, now, table } = engine.types;
  await sql`
    create table if not exists llmproxy_migrations (
      table_name varchar(64) not null,
      name varchar(128) not null,
      applied_at ${sql.raw(timestamp)} default ${sql.raw(now)},
      primary key (table_name, name)
    ) ${sql.raw(table)}`.execute(db);
}
