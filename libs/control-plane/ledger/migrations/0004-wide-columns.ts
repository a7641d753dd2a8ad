/**
 * Tables of earlier versions and of the replaced system count tokens up to 2^31, and in MySQL hold what characters the
 * database's default allows. One statement for all columns of a kind: each may copy the whole table.
 */
import { sql } from 'kysely';
import { widths } from '../core/usage-row.ts';
import { tableName } from '../engine.ts';
import { needed, type Migration } from './migration.ts';

const counts = [
  'prompt_tokens',
  'completion_tokens',
  'total_tokens',
  'cached_tokens',
  'cache_write_tokens',
  'reasoning_tokens',
];
const narrow = new Set(['smallint', 'mediumint', 'int', 'integer']);
const texts = [...Object.keys(widths), 'request_body'];

export const wideColumns: Migration = {
  name: '0004-wide-columns',
  changes({ engine, table, state: { columns } }) {
    if (engine.driver === 'sqlite') return []; // its column types bound nothing
    const alter = sql`alter table ${tableName(engine, table)}`;
    const small = counts.filter((name) => narrow.has(columns.get(name)?.type ?? ''));
    const widened = small.map((name) =>
      engine.driver === 'mysql'
        ? sql`modify column ${sql.id(name)} bigint`
        : sql`alter column ${sql.id(name)} type bigint`,
    );
    const charsets = texts.map((name) => columns.get(name)?.charset ?? null);
    const isUtf8 = charsets.every((charset) => charset === null || charset === 'utf8mb4');
    return [
      ...(small.length === 0 ? [] : [needed(sql`${alter} ${sql.join(widened)}`)]),
      ...(isUtf8 ? [] : [needed(sql`${alter} convert to character set utf8mb4 collate utf8mb4_bin`)]),
    ];
  },
};
