/** MySQL and MariaDB. Keys are parameters, which never become part of a statement's text. */
import { openMysqlPool, type MysqlPool, type SqlTls } from '@llmproxy/sql-connections';
import mysql, { type FieldPacket } from 'mysql2';
import { rfc3339 } from '../core/field-value.ts';
import { errorField, type Engine, type Row } from '../engine.ts';

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

/** The driver has names for MySQL's errors only. */
const codesOfMariadb: Readonly<Record<number, string>> = { 1969: 'ER_STATEMENT_TIMEOUT' };

const timeTypes = new Set<number | undefined>([
  mysql.Types.DATE,
  mysql.Types.DATETIME,
  mysql.Types.TIMESTAMP,
]);

interface Server {
  url: string;
  connectionsMax: number;
  tls?: SqlTls | undefined;
}

export function mysqlEngine({ url, connectionsMax, tls }: Server): Engine {
  const session = ['set session transaction read only'];
  const pool = openMysqlPool({ url, connectionsMax, session, dateStrings: true, tls });
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
    rows: (query, key, timeoutMs) => ask(pool, { query, key, timeoutMs }),
    cannotHold: () => false, // columns are converted, and what cannot be is unequal
    describe: (cause) => {
      const errno = Number(errorField(cause, 'errno'));
      const code = errorField(cause, 'code') ?? codesOfMariadb[errno];
      if (typeof code === 'string') return `${words[code] ?? 'failed'} (${code})`;
      return errorField(cause, 'sqlState') === undefined ? 'not reachable' : `failed (${errno})`;
    },
    close: () => pool.end(),
  };
}

interface Question {
  query: string;
  key: string;
  timeoutMs: number;
}

async function ask(pool: MysqlPool, { query, key, timeoutMs }: Question): Promise<Row[]> {
  const connection = await pool.connect();
  try {
    const values = [key, key];
    const [rows, fields] = await connection.query({ text: query, values, timeoutMs: timeoutMs + graceMs });
    return withTimes(rows as Row[], fields);
  } finally {
    connection.release();
  }
}

function withTimes(rows: readonly Row[], fields: readonly FieldPacket[]): Row[] {
  const times = new Set(fields.flatMap(({ name, columnType }) => (timeTypes.has(columnType) ? [name] : [])));
  return rows.map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => [
        name,
        times.has(name) && typeof value === 'string' ? rfc3339(value) : value,
      ]),
    ),
  );
}
