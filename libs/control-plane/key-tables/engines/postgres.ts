import {
  openPostgresPool,
  StatementPooling,
  type PostgresPool,
  type SqlTls,
} from '@llmproxy/sql-connections';
import pg from 'pg';
import { plainInteger, rfc3339 } from '../core/field-value.ts';
import { errorField, type Engine, type Row } from '../engine.ts';

/** More than the statement may take: the server's own answer comes first. */
const graceMs = 1_000;
const dataException = '22';

const words: Readonly<Record<string, string>> = {
  '28P01': 'the login is refused',
  '28000': 'the login is refused',
  '3D000': 'the database does not exist',
  '42P01': 'the table does not exist',
  '42703': 'a column does not exist',
  '42501': 'the user may not read the table',
  '57014': 'the query took too long',
};

const { builtins } = pg.types;
const parsers: Readonly<Record<number, (text: string) => unknown>> = {
  [builtins.INT8]: (text) => plainInteger(BigInt(text)),
  // The driver would take times without a zone for the local time of this process.
  [builtins.DATE]: rfc3339,
  [builtins.TIMESTAMP]: rfc3339,
  [builtins.TIMESTAMPTZ]: rfc3339,
};
const types = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    (format === 'binary' ? undefined : parsers[oid]) ??
    (pg.types.getTypeParser(oid, format as 'text') as (text: string) => unknown),
};

interface Server {
  url: string;
  connectionsMax: number;
  tls?: SqlTls | undefined;
}

export function postgresEngine({ url, connectionsMax, tls }: Server): Engine {
  const pool = openPostgresPool({
    url,
    connectionsMax,
    tls,
    applicationName: 'llmproxy key-lookup',
    types: types as pg.CustomTypesConfig,
  });
  return {
    dialect: {
      quote: '"',
      placeholder: (n) => `$${n}`,
      exactly: (column) => `cast(${column} as text) collate "C"`,
      exactParameter: (placeholder) => placeholder,
      select: () => 'select',
    },
    rows: (query, key, timeoutMs) => inReadOnlyTransaction(pool, { query, key, timeoutMs }),
    cannotHold: (cause) => String(errorField(cause, 'code')).startsWith(dataException),
    describe: (cause) => {
      if (cause instanceof StatementPooling) return cause.message;
      const code = errorField(cause, 'code');
      if (typeof code !== 'string') return 'not reachable';
      return `${words[code] ?? 'failed'} (${code})`;
    },
    close: () => pool.end(),
  };
}

interface Question {
  query: string;
  key: string;
  timeoutMs: number;
}

/**
 * Settings of the transaction rather than of the connection: a pooler such as PgBouncer hands the connection on to
 * others, and refuses settings at its start.
 */
async function inReadOnlyTransaction(
  pool: PostgresPool,
  { query, key, timeoutMs }: Question,
): Promise<Row[]> {
  const connection = await pool.connect();
  const run = (text: string, values?: string[]) =>
    connection.query<Row>({
      text,
      ...(values && { values }),
      query_timeout: timeoutMs + graceMs,
    });
  try {
    await run(`begin read only; set local statement_timeout = ${Math.ceil(timeoutMs)}`);
    const { rows } = await run(query, [key, key]);
    await run('commit');
    return rows;
  } catch (cause) {
    // So that odd keys do not cost a connection each. When this fails too, the connection is not usable any more.
    if (connection.isUsable()) await run('rollback').catch(() => undefined);
    throw cause;
  } finally {
    connection.release();
  }
}
