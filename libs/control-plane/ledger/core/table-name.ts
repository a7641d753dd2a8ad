const longestName = 63;

/**
 * Checks the name of a ledger table, which comes from the config and goes into SQL.
 * @throws Error unless it is 1..63 letters, digits and underscores that start with no digit
 */
export function checkedTableName(table: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(table)) return table;
  throw new Error(
    `"${table}" is no table name: use 1 to 63 letters, digits and underscores, not starting with a digit`,
  );
}

/**
 * The name of an index: it carries the table's, because SQLite and PostgreSQL have one namespace for all indexes, and it
 * is never longer than PostgreSQL keeps, or the names of two long tables would be cut to the same one.
 */
export function indexName(kind: 'idx' | 'uq', table: string, column: string): string {
  const name = `${kind}_${table}_${column}`;
  if (name.length <= longestName) return name;
  const end = `_${digest(table)}_${column}`;
  return `${kind}_${table}`.slice(0, longestName - end.length) + end;
}

/** FNV-1a, 32 bits in hex: enough to tell the long table names of one database apart. */
function digest(text: string): string {
  let hash = 0x811c9dc5;
  for (const character of text) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}
