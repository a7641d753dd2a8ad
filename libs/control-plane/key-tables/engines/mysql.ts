/** MySQL and MariaDB. Keys go as parameters of prepared statements: escaping them into the text depends on `sql_mode`. */
import mysql from 'mysql2/promise';
import { rfc3339 } from '../core/field-value.ts';
import { errorField, type Engine, type Row } from '../engine.ts';

const connectMs = 5_000;
/** More than the statement may take: the server's own answer comes first. */
const graceMs = 1_000;

const words: Readonly<Record<string, string>> = {
  ER_ACCESS_DENIED_ERROR: 'the login is refused',
  ER_DBACCESS_DENIED_ERROR: 'the user may not use the database',
  ER_BAD_DB_ERROR: 'the database does not exist',
  ER_NO_SUCH_TABLE: 'the table does not exist',
  ER_BAD_FIELD_ERROR: 'a column does not exist',
  ER_TABLEACCESS_DENIED_ERROR: 'the user may not read the table',
  ER_COLUMNACCESS_DENIED_ERROR: 'the user may not read a column',
  ER_QUERY_TIMEOUT: 'the query took too long',
  ER_STATEMENT_TIMEOUT: 'the query took too long',
};

const timeTypes = new Set<number | undefined>([
  mysql.Types.DATE,
  mysql.Types.DATETIME,
  mysql.Types.TIMESTAMP,
]);

export function mysqlEngine(url: string, connectionsMax: number): Engine {
  const pool = mysql.createPool({
    uri: url,
    connectionLimit: connectionsMax,
    connectTimeout: connectMs,
    charset: 'utf8mb4',
    supportBigNumbers: true,
    dateStrings: true,
  });
  const prepared = new WeakSet<object>();
  return {
    dialect: {
      quote: '`',
      placeholder: () => '?',
      exactly: (column) => `cast(convert(${column} using utf8mb4) as binary)`,
      exactParameter: (placeholder) => `cast(${placeholder} as binary)`,
      // The comment is a statement for MariaDB only, the hint is one for MySQL.
      select: (timeoutMs) =>
        `/*M!100100 set statement max_statement_time = ${timeoutMs / 1000} for */ ` +
        `select /*+ MAX_EXECUTION_TIME(${Math.ceil(timeoutMs)}) */`,
    },
    rows: async (query, key, timeoutMs) => {
      const connection = await pool.getConnection();
      let usable = false;
      try {
        if (!prepared.has(connection.connection)) {
          await prepare(connection, timeoutMs);
          prepared.add(connection.connection);
        }
        const rows = await ask(connection, { query, key, timeoutMs });
        usable = true;
        return rows;
      } catch (cause) {
        usable = errorField(cause, 'sqlState') !== undefined && errorField(cause, 'fatal') !== true;
        throw cause;
      } finally {
        if (usable) connection.release();
        else connection.destroy();
      }
    },
    cannotHold: () => false, // columns are converted, and what cannot be is unequal
    describe: (cause) => {
      const code = errorField(cause, 'code');
      if (typeof code !== 'string') return 'not reachable';
      return `${words[code] ?? 'failed'} (${code})`;
    },
    close: () => pool.end(),
  };
}

/**
 * What no setting of a server may change: text is read as SQL and as UTF-8 means it, even where the server ignores the
 * handshake's character set; TIMESTAMP columns come in UTC; nothing is written.
 */
const session = [
  `set sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00'`,
  'set names utf8mb4',
  'set session transaction read only',
];

async function prepare(connection: mysql.PoolConnection, timeoutMs: number): Promise<void> {
  for (const sql of session) await connection.query({ sql, timeout: timeoutMs + graceMs });
}

interface Question {
  query: string;
  key: string;
  timeoutMs: number;
}

async function ask(connection: mysql.PoolConnection, { query, key, timeoutMs }: Question): Promise<Row[]> {
  const [rows, fields] = await connection.execute<mysql.RowDataPacket[]>(
    { sql: query, timeout: timeoutMs + graceMs },
    [key, key],
  );
  const times = new Set(fields.flatMap(({ name, columnType }) => (timeTypes.has(columnType) ? [name] : [])));
  return rows.map((row) =>
    Object.fromEntries(
      Object.entries(row as Row).map(([name, value]) => [
        name,
        times.has(name) && typeof value === 'string' ? rfc3339(value) : value,
      ]),
    ),
  );
}
