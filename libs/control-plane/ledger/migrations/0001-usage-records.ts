/** The table as it is documented for the external `usage_records`. One that is there already is kept with its rows. */
import { sql } from 'kysely';
import { tableName } from '../engine.ts';
import { needed, type Migration } from './migration.ts';

export const usageRecords: Migration = {
  name: '0001-usage-records',
  changes({ engine, table, state }) {
    if (state.exists) return [];
    const type = (text: string) => sql.raw(text);
    const { id, timestamp, json, now, table: made } = engine.types;
    return [
      needed(sql`
        create table if not exists ${tableName(engine, table)} (
          id ${type(id)},
          request_id varchar(128),
          ${sql.ref('timestamp')} ${type(timestamp)},
          api_key varchar(128),
          user_id varchar(64),
          method varchar(10),
          path varchar(512),
          backend_url varchar(256),
          status_code int,
          latency_ms bigint,
          prompt_tokens bigint,
          completion_tokens bigint,
          total_tokens bigint,
          request_body ${type(json)},
          created_at ${type(timestamp)} default ${type(now)}
        ) ${type(made)}`),
    ];
  },
};
