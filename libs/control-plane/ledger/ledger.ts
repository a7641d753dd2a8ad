/**
 * Usage events in one SQL table. Guarantee: after `insert` resolved each event has exactly one row, however often and
 * from however many workers it is inserted.
 */
import type { SqlTls } from '@llmproxy/sql-connections';
import type { UsageEvent } from '@llmproxy/usage-queue';
import { checkedTableName } from './core/table-name.ts';
import type { Engine } from './engine.ts';
import { mysqlEngine } from './engines/mysql.ts';
import { postgresEngine } from './engines/postgres.ts';
import { sqliteEngine } from './engines/sqlite.ts';
import { migrate } from './migrate.ts';
import { insertUsageEvents } from './queries/insert-usage-events.ts';
import { RightsMissing } from './rights-missing.ts';
import { usageTotals, type UsageTotal, type UsageTotalsQuery } from './queries/usage-totals.ts';

export type LedgerOptions = {
  /** 1..63 letters, digits and underscores. Default `usage_records`. */
  table?: string;
  /** Connections to a server, at least 1. Default 4. */
  connectionsMax?: number;
} & (
  | { driver: 'sqlite'; path: string }
  | { driver: 'mysql'; url: string; tls?: SqlTls | undefined }
  | {
      driver: 'postgres';
      url: string;
      /** Where the tables lie. Default: where the server looks by itself, by the user's `search_path`. */
      schema?: string | undefined;
      /** Left out: no TLS, unless the words of libpq in the URL ask for it. */
      tls?: SqlTls | undefined;
    }
);

/** Some events were refused for what they hold; all others of the same call have been written. */
export class EventsRefused extends Error {
  /** The events without a row. */
  readonly events: readonly UsageEvent[];

  constructor(events: readonly UsageEvent[], cause: unknown) {
    super(`the database refuses ${events.length} usage events`, { cause });
    this.name = 'EventsRefused';
    this.events = events;
  }
}

export interface Ledger {
  /** Creates or upgrades the table; done by itself before the first query. Returns the names of the migrations done. */
  migrate(): Promise<string[]>;
  /**
   * Writes the events; those that have a row already are skipped. One that the database refuses for its size or its values
   * is written without its request body, marked by `{"omitted":"too large"|"refused","bytes":N}` in its place.
   * @throws EventsRefused when trying again cannot help; anything else means that the database is away, or not yet as it
   * has to be
   */
  insert(events: readonly UsageEvent[]): Promise<void>;
  totals(query?: UsageTotalsQuery): Promise<UsageTotal[]>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens a ledger without connecting: the first query connects and migrates.
 * @throws Error when the table's name is unusable, or certificates cannot be read
 */
export function openLedger(options: LedgerOptions): Ledger {
  const table = checkedTableName(options.table ?? 'usage_records');
  const engine = openEngine(options);
  let migrated: Promise<string[]> | undefined;
  const upToDate = async (): Promise<string[]> => {
    migrated ??= migrate(engine, table);
    try {
      return await migrated;
    } catch (cause) {
      migrated = undefined; // the database may be back at the next call
      throw cause;
    }
  };
  const close = () => engine.close();
  return {
    migrate: upToDate,
    insert: async (events) => {
      await upToDate();
      const refused = await insertUsageEvents(engine, table, events).catch(async (cause: unknown) => {
        if (!engine.refusedRights(cause)) throw cause;
        throw new RightsMissing(`may not write to ${table}`, await engine.missingGrants(table), cause);
      });
      const [first] = refused;
      if (first !== undefined) {
        throw new EventsRefused(
          refused.map(({ event }) => event),
          first.cause,
        );
      }
    },
    totals: async (query = {}) => {
      await upToDate();
      return usageTotals(engine, table, query);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function openEngine(options: LedgerOptions): Engine {
  const connectionsMax = options.connectionsMax ?? 4;
  switch (options.driver) {
    case 'sqlite':
      return sqliteEngine(options.path);
    case 'postgres':
      return postgresEngine({ ...options, connectionsMax, schema: options.schema, tls: options.tls });
    case 'mysql':
      return mysqlEngine({ url: options.url, connectionsMax, tls: options.tls });
    default:
      return options satisfies never;
  }
}
