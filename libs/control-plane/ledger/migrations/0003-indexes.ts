/** Index names carry the table's, because SQLite and PostgreSQL have one namespace for all of them. */
import { sql } from 'kysely';
import { errorField } from '../engine.ts';
import type { Migration } from '../migrate.ts';

const indexed = ['api_key', 'key_id', 'user_id', 'model', 'timestamp'];
const duplicateKeyName = 1061;

export const indexes: Migration = {
  name: '0003-indexes',
  async up({ db, engine, table }) {
    // MySQL has no `if not exists` here.
    const guard = sql.raw(engine.driver === 'mysql' ? '' : 'if not exists');
    const create = async (kind: string, column: string) => {
      const name = sql.ref(`${kind === '' ? 'idx' : 'uq'}_${table}_${column}`);
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
