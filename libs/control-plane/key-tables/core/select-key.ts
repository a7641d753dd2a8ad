/** The one query of this library. Names come from the config and are checked and quoted; keys are always parameters. */

/** Where a provider's keys lie. */
export interface KeyTable {
  /** Table or view, also as `schema.table`; spelled as the database spells it, capitals included. */
  readonly table: string;
  readonly keyColumn: string;
  /** Columns to read; empty: all. */
  readonly fields: readonly string[];
  /** `sha256`: the column holds the SHA-256 of the key in lower-case hex, so that only hashes are compared. */
  readonly keyHash: 'none' | 'sha256';
}

/** What the engines say differently. */
export interface Dialect {
  readonly quote: '"' | '`';
  /** The nth parameter, from 1. */
  placeholder(n: number): string;
  /** A quoted column as text that is compared byte by byte. */
  exactly(column: string): string;
  /** A parameter in that comparison. */
  exactParameter(placeholder: string): string;
  /** Begins the query; may hold hints for `timeoutMs`. */
  select(timeoutMs: number): string;
}

const nameForm = /^[A-Za-z_][A-Za-z0-9_$]{0,63}$/;

/**
 * The query for one key, which takes the key twice. A plain comparison finds the row through the column's index, but
 * by the rules of its type and collation: `SK-1` may equal `sk-1`, and in MySQL any word equals the number 0. The second
 * comparison, byte by byte, decides.
 * @throws Error naming what is no name
 */
export function selectKey(where: KeyTable, dialect: Dialect, timeoutMs: number): string {
  const table = where.table.split('.');
  if (table.length > 2) throw new Error(`"${where.table}" is neither a table nor schema.table`);
  const column = quoted(where.keyColumn, dialect);
  const fields = where.fields.length === 0 ? '*' : where.fields.map((f) => quoted(f, dialect)).join(', ');
  return (
    `${dialect.select(timeoutMs)} ${fields} from ${table.map((part) => quoted(part, dialect)).join('.')} ` +
    `where ${column} = ${dialect.placeholder(1)} ` +
    `and ${dialect.exactly(column)} = ${dialect.exactParameter(dialect.placeholder(2))} limit 2`
  );
}

function quoted(name: string, { quote }: Dialect): string {
  if (!nameForm.test(name)) {
    throw new Error(`"${name}" is no usable name: letters, digits, _ and $, at most 64, no digit first`);
  }
  return `${quote}${name}${quote}`;
}
