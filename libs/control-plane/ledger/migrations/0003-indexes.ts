/** One row per event, and the columns that are asked for. */
import { sql } from 'kysely';
import { indexName } from '../core/table-name.ts';
import { tableName, type Engine } from '../engine.ts';
import { needed, type Migration } from './migration.ts';

const indexed = ['api_key', 'key_id', 'user_id', 'model', 'timestamp'];

export const indexes: Migration = {
  name: '0003-indexes',
  changes({ engine, table, state }) {
    const unique = state.unique.has('event_id') ? [] : [needed(create(engine, table, 'event_id', 'unique'))];
    const others = indexed
      .filter((column) => !state.indexes.has(indexName('idx', table, column)))
      .map((column) => ({ statement: create(engine, table, column), isNeeded: false }));
    return [...unique, ...others];
  },
};

function create(engine: Engine, table: string, column: string, kind: 'unique' | '' = '') {
  const name = sql.id(indexName(kind === '' ? 'idx' : 'uq', table, column));
  // MySQL has no `if not exists` here.
  const guard = sql.raw(engine.driver === 'mysql' ? '' : 'if not exists');
  return sql`create ${sql.raw(kind)} index ${guard} ${name} on ${tableName(engine, table)} (${sql.id(column)})`;
}
