/** What the catalog of PostgreSQL says of a table. The catalog itself: information_schema hides what this user has no right to. */
import { sql, type Kysely, type RawBuilder } from 'kysely';
import type { LedgerDatabase } from '../engine.ts';
import type { Column, TableState } from '../migrations/migration.ts';

export interface Place {
  /** Undefined: where a statement finds a name without one. */
  schema: string | undefined;
  table: string;
}

/** NULL when there is none. */
const oidOf = ({ schema, table }: Place): RawBuilder<unknown> =>
  schema === undefined
    ? sql`to_regclass(quote_ident(${table}))::oid`
    : sql`(select t.oid from pg_class t join pg_namespace n on n.oid = t.relnamespace
          where n.nspname = ${schema} and t.relname = ${table})`;

export async function look(on: Kysely<LedgerDatabase>, { schema, table }: Place): Promise<TableState> {
  const oid = oidOf({ schema, table });
  const found = await sql<{ exists: boolean; hasSchema: boolean }>`
    select ${oid} is not null as "exists",
      exists (select from pg_namespace where nspname = coalesce(${schema ?? null}::text, nspname)) as "hasSchema"`.execute(
    on,
  );
  const columns = await sql<Column>`
    select attname as name, format_type(atttypid, null) as type, null as charset,
      case when atttypid in ('varchar'::regtype, 'bpchar'::regtype) and atttypmod > 4 then atttypmod - 4 end as width
    from pg_attribute where attrelid = ${oid} and attnum > 0 and not attisdropped`.execute(on);
  const indexes = await sql<{ name: string; uniqueColumn: string | null }>`
    select c.relname as name,
      case when i.indisunique and i.indisvalid and i.indpred is null and i.indnkeyatts = 1 then a.attname end
        as "uniqueColumn"
    from pg_index i join pg_class c on c.oid = i.indexrelid
      left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = ${oid}`.execute(on);
  return {
    exists: found.rows[0]?.exists === true,
    hasSchema: found.rows[0]?.hasSchema === true,
    columns: new Map(columns.rows.map((column) => [column.name, column])),
    indexes: new Set(indexes.rows.map(({ name }) => name)),
    unique: new Set(indexes.rows.flatMap(({ uniqueColumn }) => uniqueColumn ?? [])),
  };
}

/**
 * What this user lacks to insert, as statements; of a table that is not there yet, all of it. A sequence is one of
 * `bigserial`: an identity column's asks for no right.
 */
export async function missingGrants(on: Kysely<LedgerDatabase>, { schema, table }: Place): Promise<string[]> {
  const oid = oidOf({ schema, table });
  const { rows } = await sql<{ statement: string }>`
    with place as (
      select ${oid} as oid, coalesce(
        (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = ${oid}),
        ${schema ?? null}::text, current_schema(), 'public') as schema
    )
    select format('grant usage on schema %I to %I', schema, current_user) as statement from place
      where not exists (select from pg_namespace n where n.nspname = schema and has_schema_privilege(n.oid, 'usage'))
    union all
    select format('grant insert, select (event_id) on %I.%I to %I', schema, ${table}::text, current_user) from place
      where not exists (
        select from pg_attribute a where a.attrelid = place.oid and a.attname = 'event_id'
          and has_table_privilege(a.attrelid, 'insert') and has_column_privilege(a.attrelid, a.attnum, 'select'))
    union all
    select format('grant usage on sequence %I.%I to %I', n.nspname, s.relname, current_user)
      from place join pg_depend d on d.refobjid = place.oid
        join pg_class s on s.oid = d.objid join pg_namespace n on n.oid = s.relnamespace
      where d.deptype = 'a' and case when s.relkind = 'S' then not has_sequence_privilege(s.oid, 'usage') end
    `.execute(on);
  return rows.map(({ statement }) => statement);
}
