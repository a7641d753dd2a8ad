/**
 * Tables of earlier versions and of the replaced system count tokens up to 2^31, and in MySQL hold what characters the
 * database's default allows. One statement for all columns of a kind: each may copy the whole table.
 */
import { sql, type Kysely } from 'kysely';
import { widths } from '../core/usage-row.ts';
import type { Engine, LedgerDatabase } from '../engine.ts';
import type { Migration } from '../migrate.ts';

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
  async up({ db, engine, table }) {
    if (engine.driver === 'sqlite') return; // its column types bound nothing
    const columns = await engine.columns(db, table);
    const small = counts.filter((name) => narrow.has(columns.get(name)?.type ?? ''));
    if (small.length > 0) await widen({ db, engine, table }, small);
    const charsets = texts.map((name) => columns.get(name)?.charset ?? null);
    if (charsets.some((charset) => charset !== null && charset !== 'utf8mb4')) {
      await sql`alter table ${sql.ref(table)} convert to character set utf8mb4 collate utf8mb4_bin`.execute(
        db,
      );
    }
  },
};

interface Place {
  db: Kysely<LedgerDatabase>;
  engine: Engine;
  table: string;
}

async function widen({ db, engine, table }: Place, names: readonly string[]): Promise<void> {
  const changes = names.map((name) =>
    engine.driver === 'mysql'
      ? sql`modify column ${sql.ref(name)} bigint`
      : sql`alter column ${sql.ref(name)} type bigint`,
  );
  await sql`alter table ${sql.ref(table)} ${sql.join(changes)}`.execute(db);
}
