import type { UsageEvent } from '@llmproxy/usage-queue';
import { sql } from 'kysely';
import { inParts, rowBytes, statementOverheadBytes } from '../core/statement-parts.ts';
import { usageRow, withoutBody, type UsageRow } from '../core/usage-row.ts';
import type { Engine, Refusal } from '../engine.ts';

// Well under SQLite's 32,766 and PostgreSQL's 65,535 parameters per statement.
const rowsMax = 500;

// More at once is not faster, and all of it is held in memory several times.
const batchBytesMax = 16 * 2 ** 20;

// Sorted statements rarely deadlock, but InnoDB's gap locks leave some chance; each retry lets another writer finish.
const racesMax = 10;

// A server or a proxy that is sent more than it takes may just hang up; no limit in use is lower than this.
const suspectBytes = 256 * 2 ** 10;
const cutsMax = 2;

export interface RefusedEvent {
  readonly event: UsageEvent;
  readonly cause: unknown;
}

interface Into {
  readonly engine: Engine;
  readonly table: string;
}

interface Waiting {
  readonly event: UsageEvent;
  readonly row: UsageRow;
  readonly bytes: number;
}

/**
 * Writes the events in as few statements as possible. An `event_id` that is there already is left as it is. What the
 * database refuses is written without its request body, so that one event holds up no other.
 * @returns the events that are refused even so
 */
export async function insertUsageEvents(
  engine: Engine,
  table: string,
  events: readonly UsageEvent[],
): Promise<RefusedEvent[]> {
  // Writers of overlapping batches take their locks in the same order.
  const sorted = events.toSorted((a, b) => (a.event_id < b.event_id ? -1 : 1));
  const bytesMax = Math.min(batchBytesMax, engine.statementBytesMax()) - statementOverheadBytes;
  const refused: RefusedEvent[] = [];
  for (const part of inParts(waiting(sorted, refused), { rowsMax, bytesMax })) {
    refused.push(...(await insertPart({ engine, table }, part)));
  }
  return refused;
}

/**
 * One by one, so that no more than a part's bodies are held as text. An event that is none goes to `refused`: what was
 * queued long ago, or read back from a damaged disk, has been checked by nobody.
 */
function* waiting(events: readonly UsageEvent[], refused: RefusedEvent[]): Generator<Waiting> {
  for (const event of events) {
    let row: UsageRow;
    try {
      row = usageRow(event);
    } catch (cause) {
      refused.push({ event, cause });
      continue;
    }
    yield { event, row, bytes: rowBytes(row) };
  }
}

/** All at once; what is refused in halves, down to the event that is odd. */
async function insertPart(into: Into, part: readonly Waiting[]): Promise<RefusedEvent[]> {
  const refusal = await refusalOf(into, part);
  if (refusal === undefined) return [];
  if (part.length > 1) {
    const middle = Math.ceil(part.length / 2);
    return [
      ...(await insertPart(into, part.slice(0, middle))),
      ...(await insertPart(into, part.slice(middle))),
    ];
  }
  const refused: RefusedEvent[] = [];
  for (const { event, row } of part) {
    const bare = withoutBody(row, refusal.for === 'size' ? 'too large' : 'refused');
    const again = bare && (await refusalOf(into, [{ event, row: bare, bytes: rowBytes(bare) }]));
    if (bare === undefined || again !== undefined) refused.push({ event, cause: (again ?? refusal).cause });
  }
  return refused;
}

/** @returns undefined when the rows are written; throws when the database is away */
async function refusalOf({ engine, table }: Into, part: readonly Waiting[]): Promise<Refusal | undefined> {
  const bytes = part.reduce((sum, row) => sum + row.bytes, statementOverheadBytes);
  const bytesMax = engine.statementBytesMax();
  if (bytes > bytesMax) {
    return {
      for: 'size',
      cause: new Error(`a statement of ${bytes} bytes, of which the server takes ${bytesMax}`),
    };
  }
  const rows = rowsFor(engine, part);
  if (!Array.isArray(rows)) return rows;
  for (let cuts = 1; ; cuts += 1) {
    try {
      await insertRows({ engine, table }, rows);
      return undefined;
    } catch (cause) {
      const refused = engine.refusedFor(cause);
      if (refused !== undefined) return { for: refused, cause };
      if (bytes < suspectBytes || !engine.lostConnection(cause)) throw cause;
      // Once may be chance. Twice, by a server that is there, is the statement's size.
      if (cuts < cutsMax) continue;
      await sql`select 1`.execute(engine.db);
      return { for: 'size', cause };
    }
  }
}

/** As the engine binds them; a refusal when a value is none that it can bind. */
function rowsFor(engine: Engine, part: readonly Waiting[]): UsageRow[] | Refusal {
  try {
    return part.map(({ row }) => engine.row(row));
  } catch (cause) {
    return { for: 'values', cause };
  }
}

async function insertRows({ engine, table }: Into, rows: readonly UsageRow[]): Promise<void> {
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
