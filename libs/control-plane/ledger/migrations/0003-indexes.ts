/** One row per event, and the columns that are asked for. */
import { sql } from 'kysely';
import { indexName } from '../core/table-name.ts';
import { errorField } from '../engine.ts';
import type { Migration } from '../migrate.ts';

const indexed = ['api_key', 'key_id', 'user_id', 'model', 'timestamp'];
const duplicateKeyName = 1061;

export const indexes: Migration = {
  name: '0003-indexes',
  async up({ db, engine, table }) {
    // MySQL has no `if not exists` here.
    const guard = sql.raw(engine.driver === 'mysql' ? '' : 'if not exists');
    const create = async (kind: '' | 'unique', column: string) => {
      const name = sql.ref(indexName(kind === '' ? 'idx' : 'uq', table, column));
      await sql`create ${sql.raw(kind)} index ${guard} ${name} on ${sql.ref(table)} (${sql.ref(column)})`
        .execute(db)
        .catch((cause: unknown) => {
          if (errorField(cause, 'errno') !== duplicateKeyName) throw cause;
        });
    };
    await create('unique', 'event_id');
    for (const column of indexed) await create('', column);
  },
};
