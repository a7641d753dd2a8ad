/** What was recorded of requests: events in the queue, rows in SQLite. */
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { openUsageConsumer, type UsageEvent } from '@llmproxy/usage-queue';
import { until } from './until.ts';

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** Takes the events out of the queue until there are `count`, and one more look whether there are not more. */
export async function takeEvents(redisUrl: string, count: number): Promise<UsageEvent[]> {
  const taken: UsageEvent[] = [];
  const consumer = openUsageConsumer({
    redis: { url: redisUrl },
    log: silent,
    handle: (events) => {
      taken.push(...events);
      return Promise.resolve();
    },
  });
  try {
    await until(`${count} usage events in the queue`, async () => {
      if (taken.length < count) throw new Error(`${taken.length} so far`);
      return (await consumer.depth()) === 0;
    });
    return taken;
  } finally {
    await consumer.close(2_000);
  }
}

export interface UsageRow {
  readonly event_id: string;
  readonly request_id: string;
  readonly api_key: string | null;
  readonly user_id: string | null;
  readonly model: string | null;
  readonly endpoint: string;
  readonly is_stream: number;
  readonly status_code: number;
  readonly outcome: string;
  readonly prompt_tokens: number | null;
  readonly completion_tokens: number | null;
  readonly total_tokens: number | null;
  readonly usage_source: string;
}

/** The rows of the ledger, oldest first; none while there is no table yet. */
export function usageRows(path: string): UsageRow[] {
  if (!existsSync(path)) return [];
  const db = new DatabaseSync(path, { readOnly: true, timeout: 2_000 });
  try {
    return db.prepare('select * from usage_records order by id').all() as unknown as UsageRow[];
  } catch (cause) {
    if (String(cause).includes('no such table')) return [];
    throw cause;
  } finally {
    db.close();
  }
}
