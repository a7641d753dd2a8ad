/** What the usage event has beyond the documented columns. Only missing columns are added, so a second run is harmless. */
import { sql } from 'kysely';
import { widths } from '../core/usage-row.ts';
import { tableName } from '../engine.ts';
import { needed, type Migration } from './migration.ts';

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
const widened: readonly (readonly [name: string, width: number])[] = [
  ['request_id', widths.request_id],
  ['path', widths.path],
];

export const eventColumns: Migration = {
  name: '0002-event-columns',
  changes({ engine, table, state }) {
    const alter = sql`alter table ${tableName(engine, table)}`;
    const added = columns
      .filter(([name]) => !state.columns.has(name))
      .map(([name, type]) => needed(sql`${alter} add column ${sql.id(name)} ${sql.raw(type)}`));
    if (engine.driver === 'sqlite') return added; // its column types bound nothing
    const change = sql.raw(engine.driver === 'mysql' ? 'modify column' : 'alter column');
    const to = sql.raw(engine.driver === 'mysql' ? '' : 'type');
    const wider = widened
      .filter(([name, width]) => (state.columns.get(name)?.width ?? width) < width)
      .map(([name, width]) =>
        needed(sql`${alter} ${change} ${sql.id(name)} ${to} varchar(${sql.lit(width)})`),
      );
    return [...added, ...wider];
  },
};
