/** One step from no table to the table of today, as statements that are issued only where their result is missing. */
import type { RawBuilder } from 'kysely';
import type { Engine } from '../engine.ts';

/** What a database says of a column, in its own words and in lower case. */
export interface Column {
  readonly name: string;
  /** Without length or sign, for example `int`, `character varying`. */
  readonly type: string;
  /** Of MySQL's text columns, for example `utf8mb4`; null elsewhere. */
  readonly charset: string | null;
  /** The most characters of its text; null: no bound, or no text. */
  readonly width: number | null;
}

/** What the catalog of a database says of one table. */
export interface TableState {
  readonly exists: boolean;
  /** Whether the schema it belongs in is there. */
  readonly hasSchema: boolean;
  readonly columns: ReadonlyMap<string, Column>;
  /** Names of its indexes. */
  readonly indexes: ReadonlySet<string>;
  /** Columns that are unique by themselves, whatever their index is called. */
  readonly unique: ReadonlySet<string>;
}

/** A statement that changes a schema. */
export interface Change {
  readonly statement: RawBuilder<unknown>;
  /** Without it no event can be written; otherwise it only makes reading faster. */
  readonly isNeeded: boolean;
}

export interface Migration {
  /** Recorded in `llmproxy_migrations`: never rename one that was released. */
  readonly name: string;
  /** What is missing, in order; empty when its result is there, whoever made it. */
  changes(on: { engine: Engine; table: string; state: TableState }): Change[];
}

export const needed = (statement: RawBuilder<unknown>): Change => ({ statement, isNeeded: true });
