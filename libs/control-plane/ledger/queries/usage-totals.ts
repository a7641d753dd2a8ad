import { sql } from 'kysely';
import { tableName, type Engine } from '../engine.ts';

export interface UsageTotalsQuery {
  /** RFC 3339, inclusive. Default: from the first event. */
  since?: string;
  /** RFC 3339, exclusive. Default: to the last event. */
  until?: string;
}

export interface UsageTotal {
  key_id: string | null;
  model: string | null;
  requests: number;
  /** Requests whose token counts are unknown: what the sums below leave out. */
  requests_without_usage: number;
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

/** Requests and tokens per key and model in a span of time, largest consumer first. */
export async function usageTotals(
  engine: Engine,
  table: string,
  query: UsageTotalsQuery,
): Promise<UsageTotal[]> {
  const since =
    query.since === undefined ? sql`` : sql`and ${sql.ref('timestamp')} >= ${engine.timestamp(query.since)}`;
  const until =
    query.until === undefined ? sql`` : sql`and ${sql.ref('timestamp')} < ${engine.timestamp(query.until)}`;
  const { rows } = await sql<UsageTotal>`
    select key_id, model, count(*) as requests,
      sum(case when total_tokens is null then 1 else 0 end) as requests_without_usage,
      coalesce(sum(prompt_tokens), 0) as prompt_tokens,
      coalesce(sum(completion_tokens), 0) as completion_tokens,
      coalesce(sum(total_tokens), 0) as total_tokens
    from ${tableName(engine, table)}
    where event_id is not null ${since} ${until}
    group by key_id, model
    order by coalesce(sum(total_tokens), 0) desc, key_id, model`.execute(engine.db);
  return rows.map(withNumbers);
}

/** PostgreSQL and MySQL hand sums over as text. */
function withNumbers(row: UsageTotal): UsageTotal {
  return {
    key_id: row.key_id,
    model: row.model,
    requests: Number(row.requests),
    requests_without_usage: Number(row.requests_without_usage),
    prompt_tokens: Number(row.prompt_tokens),
    completion_tokens: Number(row.completion_tokens),
    total_tokens: Number(row.total_tokens),
  };
}
