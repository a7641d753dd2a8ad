/**
 * Brings one ledger table to the newest schema. Guarantees: each migration is done once per table, in order, however many
 * workers start at the same moment; and where nothing is missing nothing is asked but to look, so that a user who may
 * only insert needs no right to create.
 */
import { sql, type Kysely, type RawBuilder } from 'kysely';
import { tableName, type Engine, type LedgerDatabase } from './engine.ts';
import { usageRecords } from './migrations/0001-usage-records.ts';
import { eventColumns } from './migrations/0002-event-columns.ts';
import { indexes } from './migrations/0003-indexes.ts';
import { wideColumns } from './migrations/0004-wide-columns.ts';
import type { Change, Migration } from './migrations/migration.ts';
import { RightsMissing } from './rights-missing.ts';

const migrations: readonly Migration[] = [usageRecords, eventColumns, indexes, wideColumns];
const record = 'llmproxy_migrations';

/**
 * @returns the names of the migrations that were done now
 * @throws RightsMissing when a statement is needed that the database does not let this user run
 */
export async function migrate(engine: Engine, table: string): Promise<string[]> {
  const recorded = await recordedMigrations(engine, engine.db, table);
  const before = await openMigrations(engine, engine.db, { table, recorded });
  if (before.length === 0) return [];
  let done: string[] = [];
  try {
    await engine.exclusively(async (db) => {
      const now = recorded === 'closed' ? recorded : await recordedMigrations(engine, db, table);
      done = await makeUp(engine, db, { table, recorded: now });
    });
  } catch (cause) {
    if (!(cause instanceof RightsMissing)) throw cause;
    const isNeeded = before.some(({ changes }) => changes.some((change) => change.isNeeded));
    // With the rights to insert, somebody who is asked to run them is asked once.
    if (isNeeded) throw cause.and(await engine.missingGrants(table));
  }
  return done;
}

/** Names of the migrations that were done, as far as is recorded; `closed`: the record is not for this user to read. */
type Recorded = ReadonlySet<string> | 'closed';

async function recordedMigrations(
  engine: Engine,
  db: Kysely<LedgerDatabase>,
  table: string,
): Promise<Recorded> {
  if (!(await engine.look(db, record)).exists) return new Set();
  try {
    const { rows } = await sql<{ name: string }>`
      select name from ${tableName(engine, record)} where table_name = ${table}`.execute(db);
    return new Set(rows.map(({ name }) => name));
  } catch (cause) {
    if (engine.refusedRights(cause)) return 'closed';
    throw cause;
  }
}

interface Progress {
  table: string;
  recorded: Recorded;
}

interface OpenMigration {
  name: string;
  /** Empty when its result is there. */
  changes: readonly Change[];
}

/** Those that are not known to be done; none when the result of each is there already. */
async function openMigrations(
  engine: Engine,
  db: Kysely<LedgerDatabase>,
  { table, recorded }: Progress,
): Promise<OpenMigration[]> {
  const state = await engine.look(db, table);
  // A table that is gone is made again, whatever was recorded of the one before.
  const isDone = (name: string) => state.exists && recorded !== 'closed' && recorded.has(name);
  const open = migrations
    .filter(({ name }) => !isDone(name))
    .map(({ name, changes }) => ({ name, changes: changes({ engine, table, state }) }));
  return open.every(({ changes }) => changes.length === 0) ? [] : open;
}

/** Makes what is missing, and records it where the record is open to this user. */
async function makeUp(engine: Engine, db: Kysely<LedgerDatabase>, progress: Progress): Promise<string[]> {
  const { table, recorded } = progress;
  const left = await openMigrations(engine, db, progress);
  if (left.length === 0) return [];
  const steps = [...(await surroundings(engine, db, recorded))];
  for (const { name, changes } of left) {
    steps.push(...changes.map(({ statement }) => statement));
    if (recorded !== 'closed' && !recorded.has(name)) steps.push(recordOf(engine, table, name));
  }
  for (const [i, step] of steps.entries()) {
    await step.execute(db).catch((cause: unknown) => {
      if (!engine.refusedRights(cause)) throw cause;
      const outstanding = steps.slice(i).map((statement) => textOf(statement, db));
      throw new RightsMissing(`may not complete the table ${table}`, outstanding, cause);
    });
  }
  return left.map(({ name }) => name);
}

type Statement = RawBuilder<unknown>;

/** In one line. */
const textOf = (statement: Statement, db: Kysely<LedgerDatabase>): string =>
  statement.compile(db).sql.replace(/\s+/g, ' ').trim();

/** What has to be there beside the table: the schema, and the record of migrations. */
async function surroundings(
  engine: Engine,
  db: Kysely<LedgerDatabase>,
  recorded: Recorded,
): Promise<Statement[]> {
  const { schema } = engine;
  const { exists, hasSchema } = await engine.look(db, record);
  const createSchema =
    schema === undefined || hasSchema ? [] : [sql`create schema if not exists ${sql.id(schema)}`];
  return exists || recorded === 'closed' ? createSchema : [...createSchema, createRecord(engine)];
}

function createRecord(engine: Engine): Statement {
  const { timestamp, now, table } = engine.types;
  return sql`
    create table if not exists ${tableName(engine, record)} (
      table_name varchar(64) not null,
      name varchar(128) not null,
      applied_at ${sql.raw(timestamp)} default ${sql.raw(now)},
      primary key (table_name, name)
    ) ${sql.raw(table)}`;
}

const recordOf = (engine: Engine, table: string, name: string): Statement =>
  sql`insert into ${tableName(engine, record)} (table_name, name) values (${sql.lit(table)}, ${sql.lit(name)})`;
