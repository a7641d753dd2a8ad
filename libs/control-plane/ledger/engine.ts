import { sql, type Kysely, type RawBuilder } from 'kysely';
import type { UsageRow } from './core/usage-row.ts';
import type { TableState } from './migrations/migration.ts';

export { errorField } from '@llmproxy/sql-connections';

/** Every table of a ledger has the same columns; its name comes from the config. */
export type LedgerDatabase = Record<string, UsageRow & { id: number; created_at: string }>;

/** Why the database takes some rows never: their values, or how much they are. */
export interface Refusal {
  readonly for: 'values' | 'size';
  readonly cause: unknown;
}

/** One kind of SQL database: what the queries and migrations need to know beside what kysely knows. */
export interface Engine {
  readonly driver: 'sqlite' | 'postgres' | 'mysql';
  readonly db: Kysely<LedgerDatabase>;
  /** Where the tables lie, when the server has places with names in a database; undefined: where it looks by itself. */
  readonly schema: string | undefined;
  readonly types: {
    id: string;
    /** A point in time, to the millisecond. */
    timestamp: string;
    json: string;
    /** Default expression of `created_at`. */
    now: string;
    /** What a table is created with, after its columns. */
    table: string;
  };
  /** An RFC 3339 time in UTC as this engine stores and compares it. */
  timestamp(iso: string): string;
  /** The row as this engine's driver can bind it. */
  row(row: UsageRow): UsageRow;
  /** What there is of a table; needs no right to create. */
  look(db: Kysely<LedgerDatabase>, table: string): Promise<TableState>;
  /** Statements that would give this user what inserting asks for and it lacks. */
  missingGrants(table: string): Promise<string[]>;
  /** Runs `work` on one connection while no other process of any kind migrates this database. */
  exclusively(work: (db: Kysely<LedgerDatabase>) => Promise<void>): Promise<void>;
  /** What the database refused; undefined when trying again may help. */
  refusedFor(cause: unknown): Refusal['for'] | undefined;
  /** True when the connection ended while the statement was under way. */
  lostConnection(cause: unknown): boolean;
  /** The largest statement with its values that the server takes, as far as it has said. */
  statementBytesMax(): number;
  /** True when the database understood a statement but this user may not have it done. */
  refusedRights(cause: unknown): boolean;
  /** True when the statement was rolled back in favour of a concurrent one, and succeeds when it is sent again. */
  lostRace(cause: unknown): boolean;
  close(): Promise<void>;
}

/** A table of this engine as it is written in a statement. */
export function tableName({ schema }: Pick<Engine, 'schema'>, table: string): RawBuilder<unknown> {
  return schema === undefined ? sql.id(table) : sql.id(schema, table);
}
