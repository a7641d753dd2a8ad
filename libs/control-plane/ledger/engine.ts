import type { Kysely } from 'kysely';
import type { UsageRow } from './core/usage-row.ts';

/** Every table of a ledger has the same columns; its name comes from the config. */
export type LedgerDatabase = Record<string, UsageRow & { id: number; created_at: string }>;

/** What the database says of a column, in its own words and in lower case. */
export interface Column {
  /** Without length or sign, for example `int`, `character varying`. */
  readonly type: string;
  /** Of MySQL's text columns, for example `utf8mb4`; null elsewhere. */
  readonly charset: string | null;
}

/** One kind of SQL database: what the queries and migrations need to know beside what kysely knows. */
export interface Engine {
  readonly driver: 'sqlite' | 'postgres' | 'mysql';
  readonly db: Kysely<LedgerDatabase>;
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
  /** The columns of `table` by name; empty when there is no such table. */
  columns(db: Kysely<LedgerDatabase>, table: string): Promise<ReadonlyMap<string, Column>>;
  /** Runs `work` on one connection while no other process of any kind migrates this database. */
  exclusively(work: (db: Kysely<LedgerDatabase>) => Promise<void>): Promise<void>;
  /** True when the database refused the values themselves: trying again cannot help, unlike with any other failure. */
  refusedValues(cause: unknown): boolean;
  /** True when the statement was rolled back in favour of a concurrent one, and succeeds when it is sent again. */
  lostRace(cause: unknown): boolean;
  close(): Promise<void>;
}

/** A property of an error object of unknown make. */
export function errorField(cause: unknown, field: string): unknown {
  return typeof cause === 'object' && cause !== null ? (cause as Record<string, unknown>)[field] : undefined;
}
