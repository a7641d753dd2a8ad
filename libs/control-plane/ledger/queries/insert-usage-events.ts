import type { UsageEvent } from '@llmproxy/usage-queue';
import { usageRow, type UsageRow } from '../core/usage-row.ts';
import type { Engine } from '../engine.ts';

// Well under SQLite's 32,766 and PostgreSQL's 65,535 parameters per statement.
const rowsMax = 500;

// Sorted statements rarely deadlock, but InnoDB's gap locks leave some chance; each retry lets another writer finish.
const racesMax = 10;

/** Writes the events in as few statements as possible. An `event_id` that is there already is left as it is. */
export async function insertUsageEvents(
  engine: Engine,
  table: string,
  events: readonly UsageEvent[],
): Promise<void> {
  // Writers of overlapping batches take their locks in the same order.
  const sorted = events.toSorted((a, b) => (a.event_id < b.event_id ? -1 : 1));
  for (let start = 0; start < sorted.length; start += rowsMax) {
    const rows = sorted.slice(start, start + rowsMax).map((event) => engine.row(usageRow(event)));
    await insertRows(engine, table, rows);
  }
}

async function insertRows(engine: Engine, table: string, rows: readonly UsageRow[]): Promise<void> {
  const db = engine.schema === undefined ? engine.db : engine.db.withSchema(engine.schema);
  const insert = db.insertInto(table).values(rows as never);
  // MySQL's INSERT IGNORE would also turn refused values into silently mutilated ones.
  const idempotent =
    engine.driver === 'mysql'
      ? insert.onDuplicateKeyUpdate((keep) => ({ event_id: keep.ref('event_id') }) as never)
      : insert.onConflict((conflict) => conflict.column('event_id').doNothing());
  for (let races = 1; ; races += 1) {
    try {
      await idempotent.execute();
      return;
    } catch (cause) {
      if (!engine.lostRace(cause) || races >= racesMax) throw cause;
    }
  }
}
