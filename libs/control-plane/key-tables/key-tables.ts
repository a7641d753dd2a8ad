/**
 * Keys in somebody's SQL tables. Guarantees: nothing is ever written; a database that is away is asked again at the next
 * lookup; at most so many queries run at once; and no error says anything of the key.
 */
import { hash } from 'node:crypto';
import { plainValue } from './core/field-value.ts';
import { selectKey, type KeyTable } from './core/select-key.ts';
import type { Engine, KeyDatabase, Row } from './engine.ts';
import { mysqlEngine } from './engines/mysql.ts';
import { postgresEngine } from './engines/postgres.ts';
import { sqliteEngine } from './engines/sqlite.ts';
import { createTurnstile, withDeadline, type Turnstile } from './turnstile.ts';

export interface KeyTablesOptions {
  readonly databases: readonly KeyDatabase[];
  /** Tables by provider; `database` is the name of one of `databases`, `timeoutMs` the longest lookup. */
  readonly tables: ReadonlyMap<string, KeyTable & { readonly database: string; readonly timeoutMs: number }>;
  /** Lookups that may wait for one of a database's connections; more are refused. Default 1000. */
  readonly waitingMax?: number;
}

export interface KeyTables {
  /**
   * The row that holds a key, its values as JSON can hold them; undefined when there is none.
   * @throws Error saying which database failed and how, without the key
   */
  find(provider: string, key: string): Promise<Row | undefined>;
  close(): Promise<void>;
}

/** One thread reads the file; more only wait for its lock. */
const sqliteQueriesMax = 8;
/** What the gateway can have been sent in a header and any column of keys could hold. */
const keyForm = /^[!-~]{1,1024}$/;

/**
 * Opens the tables without connecting: the first lookup does.
 * @throws Error when a name is unusable, a database is not among those given, or certificates cannot be read
 */
export function openKeyTables({ databases, tables, waitingMax = 1000 }: KeyTablesOptions): KeyTables {
  const used = new Set([...tables.values()].map(({ database }) => database));
  const open = new Map(
    databases.filter(({ name }) => used.has(name)).map((each) => [each.name, openDatabase(each, waitingMax)]),
  );
  const lookups = new Map<string, (key: string) => Promise<Row | undefined>>();
  for (const [provider, table] of tables) {
    const database = open.get(table.database);
    if (database === undefined) {
      throw new Error(`provider ${provider}: no enabled database is called ${table.database}`);
    }
    lookups.set(provider, lookupIn(database, table));
  }
  return {
    find: async (provider, key) => {
      const lookup = lookups.get(provider);
      if (lookup === undefined) throw new Error(`no database provider is called ${provider}`);
      return keyForm.test(key) ? lookup(key) : undefined;
    },
    close: async () => void (await Promise.all([...open.values()].map(({ engine }) => engine.close()))),
  };
}

interface OpenDatabase {
  name: string;
  engine: Engine;
  turnstile: Turnstile;
}

function openDatabase(database: KeyDatabase, waitingMax: number): OpenDatabase {
  const queriesMax = database.driver === 'sqlite' ? sqliteQueriesMax : database.connectionsMax;
  return {
    name: database.name,
    engine: openEngine(database),
    turnstile: createTurnstile(queriesMax, waitingMax),
  };
}

function openEngine(database: KeyDatabase): Engine {
  switch (database.driver) {
    case 'sqlite':
      return sqliteEngine(database.path);
    case 'postgres':
      return postgresEngine(database);
    case 'mysql':
      return mysqlEngine(database);
    default:
      return database satisfies never;
  }
}

function lookupIn(
  { name, engine, turnstile }: OpenDatabase,
  table: KeyTable & { readonly timeoutMs: number },
): (key: string) => Promise<Row | undefined> {
  const { timeoutMs } = table;
  const query = selectKey(table, engine.dialect, timeoutMs);
  const ask = async (key: string): Promise<Row[]> => {
    try {
      return await engine.rows(query, key, timeoutMs);
    } catch (cause) {
      if (engine.cannotHold(cause)) return [];
      // Without the cause: the driver's error object may carry the key among its parameters.
      throw new Error(`database ${name}: ${engine.describe(cause)}`);
    }
  };
  return async (key) => {
    const presented = table.keyHash === 'sha256' ? hash('sha256', key, 'hex') : key;
    const late = () => new Error(`database ${name}: no answer within ${timeoutMs} ms`);
    const full = () => new Error(`database ${name}: too many lookups are waiting`);
    const rows = await withDeadline(timeoutMs, late, (isLate) =>
      turnstile.pass(full, () => (isLate() ? Promise.resolve([]) : ask(presented))),
    );
    // Which of them holds would be left to chance, and one may be disabled.
    if (rows.length > 1) throw new Error(`database ${name}: several rows of ${table.table} hold one key`);
    const [row] = rows;
    return (
      row && Object.fromEntries(Object.entries(row).map(([column, value]) => [column, plainValue(value)]))
    );
  };
}
