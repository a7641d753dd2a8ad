/**
 * Connections to MySQL and MariaDB. Guarantee: values never become part of a statement's text. mysql2's `query`, which
 * kysely calls, would escape them on the client, and what escapes a quote depends on the server's `sql_mode`: here it
 * executes a prepared statement, so that text and values travel apart.
 */
import type { MysqlPool, MysqlPoolConnection } from 'kysely';
import { createPool, type PoolConnection, type RowDataPacket } from 'mysql2';

const connectMs = 5_000;

/**
 * Statements a connection keeps prepared. Inserts differ in their numbers of rows; one of 100 rows takes 1.1 MB of the
 * server's memory, and what it holds for all its clients is bounded (`max_prepared_stmt_count`).
 */
const statementsMax = 8;

/**
 * What a server's settings may not change: values that do not fit are refused rather than mutilated, text is UTF-8 even
 * where the server ignores what the client asks for at its handshake, and its clock shows UTC.
 */
const session = [
  `set sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00'`,
  'set names utf8mb4',
];

export interface PreparingPool extends MysqlPool {
  /** `max_allowed_packet` of the newest connection, in bytes; without bound before there is one. */
  packetBytesMax(): number;
}

/** A pool as kysely's dialect wants it; connects when it is first asked for a connection. */
export function preparingPool(url: string, connectionsMax: number): PreparingPool {
  const pool = createPool({
    uri: url,
    connectionLimit: connectionsMax,
    connectTimeout: connectMs,
    maxPreparedStatements: statementsMax,
    timezone: 'Z',
    charset: 'utf8mb4',
    supportBigNumbers: true,
  });
  const known = new WeakMap<PoolConnection, MysqlPoolConnection>();
  let packetBytesMax = Infinity;
  const ready = async (connection: PoolConnection): Promise<MysqlPoolConnection> => {
    const already = known.get(connection);
    if (already !== undefined) return already;
    try {
      for (const statement of session) await connection.promise().query(statement);
      const [rows] = await connection
        .promise()
        .query<RowDataPacket[]>('select @@max_allowed_packet as bytes');
      packetBytesMax = Number(rows[0]?.['bytes']);
    } catch (cause) {
      connection.destroy();
      throw cause;
    }
    const prepared = preparing(connection);
    known.set(connection, prepared);
    return prepared;
  };
  return {
    getConnection: (callback) =>
      pool.getConnection((cause, connection) => {
        // The callback's second parameter means nothing when there is a first.
        const failed = (reason: unknown) => callback(reason, undefined as never);
        if (cause) failed(cause);
        else void ready(connection).then((prepared) => callback(undefined, prepared), failed);
      }),
    end: (callback) => pool.end(callback),
    packetBytesMax: () => packetBytesMax,
  };
}

/** A connection whose `query` never puts a value into a text. */
function preparing(connection: PoolConnection): MysqlPoolConnection {
  return {
    config: connection.config,
    threadId: connection.threadId,
    connect: (callback) => connection.connect(callback),
    destroy: () => connection.destroy(),
    release: () => connection.release(),
    // Not everything can be prepared, and what has no values need not be.
    query: (text, values: unknown[], callback) =>
      values.length === 0
        ? connection.query(text, callback as never)
        : connection.execute(text, values as never, callback as never),
  };
}
