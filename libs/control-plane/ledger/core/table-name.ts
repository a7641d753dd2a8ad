/**
 * Checks the name of a ledger table, which comes from the config and goes into SQL.
 * @throws Error unless it is 1..48 letters, digits and underscores that start with no digit
 */
export function checkedTableName(table: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]{0,47}$/.test(table)) return table;
  throw new Error(
    `"${table}" is no table name: use 1 to 48 letters, digits and underscores, not starting with a digit`,
  );
}
