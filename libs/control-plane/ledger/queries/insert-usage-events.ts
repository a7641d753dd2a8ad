import type { UsageEvent } from '@llmproxy/usage-queue';
import { usageRow } from '../core/usage-row.ts';
import type { Engine } from '../engine.ts';

// Well under SQLite's 32,766 and PostgreSQL's 65,535 parameters per statement.
const rowsMax = 500;

/** Writes the events in as few statements as possible. An `event_id` that is there already is left as it is. */
export async function insertUsageEvents(
  engine: Engine,
  table: string,
  events: readonly UsageEvent[],
): Promise<void> {
  for (let start = 0; start < events.length; start += rowsMax) {
    const rows = events.slice(start, start + rowsMax).map((event) => engine.row(usageRow(event)));
    const insert = engine.db.insertInto(table).values(rows as never);
    // MySQL's INSERT IGNORE would also turn refused values into silently mutilated ones.
    const idempotent =
      engine.driver === 'mysql'
        ? insert.onDuplicateKeyUpdate((keep) => ({ event_id: keep.ref('event_id') }) as never)
        : insert.onConflict((conflict) => conflict.column('event_id').doNothing());
    await idempotent.execute();
  }
}
