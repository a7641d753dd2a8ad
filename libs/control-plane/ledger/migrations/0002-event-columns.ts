/** What the usage event has beyond the documented columns. Only missing columns are added, so a second run is harmless. */
import { sql } from 'kysely';
import { widths } from '../core/usage-row.ts';
import type { Migration } from '../migrate.ts';

const columns: readonly (readonly [name: string, type: string])[] = [
  ['event_id', `varchar(${widths.event_id})`],
  ['key_id', `varchar(${widths.key_id})`],
  ['model', `varchar(${widths.model})`],
  ['endpoint', `varchar(${widths.endpoint})`],
  ['is_stream', 'boolean'],
  ['backend', `varchar(${widths.backend})`],
  ['outcome', `varchar(${widths.outcome})`],
  ['usage_source', `varchar(${widths.usage_source})`],
  ['ttft_ms', 'double precision'],
  ['cached_tokens', 'bigint'],
  ['cache_write_tokens', 'bigint'],
  ['reasoning_tokens', 'bigint'],
];

// Tables made by the replaced system are narrower than a request id of ours may be long.
const widened: readonly (readonly [name: string, type: string])[] = [
  ['request_id', `varchar(${widths.request_id})`],
  ['path', `varchar(${widths.path})`],
];

export const eventColumns: Migration = {
  name: '0002-event-columns',
  async up({ db, engine, table }) {
    const present = await engine.columns(db, table);
    for (const [name, type] of columns.filter(([column]) => !present.has(column))) {
      await sql`alter table ${sql.ref(table)} add column ${sql.ref(name)} ${sql.raw(type)}`.execute(db);
    }
    if (engine.driver === 'sqlite') return; // its column types bound nothing
    const change = engine.driver === 'mysql' ? 'modify column' : 'alter column';
    const to = engine.driver === 'mysql' ? '' : 'type';
    for (const [name, type] of widened) {
      await sql`alter table ${sql.ref(table)} ${sql.raw(change)} ${sql.ref(name)} ${sql.raw(to)} ${sql.raw(type)}`.execute(
        db,
      );
    }
  },
};
