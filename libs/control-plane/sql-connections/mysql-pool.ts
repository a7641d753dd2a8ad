/**
 * Connections to MySQL and MariaDB. Guarantees: values never become part of a statement's text, because what escapes a
 * quote depends on the server's `sql_mode`; the server's settings do not change what a statement means; and a connection
 * that broke, is still busy, or whose server takes no writes any more, is not used again.
 */
import { connect, isIP } from 'node:net';
import { lastingly } from '@llmproxy/client-login';
import {
  createPool,
  type FieldPacket,
  type Pool,
  type PoolConnection,
  type PoolOptions,
  type RowDataPacket,
} from 'mysql2';
import { errorField } from './core/error-field.ts';
import { losesMysqlConnection } from './core/mysql-failures.ts';
import type { SqlTls } from './tls.ts';

const connectMs = 5_000;
/** Idle for so long, a connection is probed: one whose other end is gone without a word is noticed. */
const keepAliveMs = 10_000;
const defaultPort = 3306;

/**
 * Statements a connection keeps prepared. Inserts differ in their numbers of rows; one of 100 rows takes 1.1 MB of the
 * server's memory, and what it holds for all its clients is bounded (`max_prepared_stmt_count`).
 */
const statementsMax = 8;

/**
 * Values that do not fit are refused rather than mutilated; text is UTF-8 even where the server ignores what the client
 * asks for at its handshake; times are UTC; and who alters a table does not hold up others behind a long reader.
 */
const sessionOfAll = [
  `set sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', lock_wait_timeout = 30`,
  'set names utf8mb4',
];

export interface MysqlPoolOptions {
  readonly url: string;
  /** At least 1. */
  readonly connectionsMax: number;
  /** Statements that each connection begins with, after those that all do. */
  readonly session?: readonly string[];
  /** DATE, DATETIME and TIMESTAMP as text. Default: as `Date`. */
  readonly dateStrings?: boolean;
  /** Left out: the connection is not encrypted. */
  readonly tls?: SqlTls | undefined;
}

export interface MysqlPool {
  /** @throws Error in words when the server cannot be reached */
  connect(): Promise<MysqlConnection>;
  /** `max_allowed_packet` of the newest connection, in bytes; without bound before there is one. */
  packetBytesMax(): number;
  end(): Promise<void>;
}

export interface MysqlQuery {
  readonly text: string;
  /** Default: none; the text is then sent as it is, since not everything can be prepared. */
  readonly values?: readonly unknown[];
  /** The longest it may take, in ms, before its connection is given up. Default: no bound. */
  readonly timeoutMs?: number | undefined;
}

export interface MysqlConnection {
  /** Rows, or what came of the statement; and the columns of the rows. */
  query(query: MysqlQuery): Promise<[result: unknown, fields: FieldPacket[]]>;
  /** Hands it back; one that is not usable is closed. */
  release(): void;
}

/**
 * Opens a pool without connecting. The host's name is looked up for each connection anew.
 * @throws what the reading of certificates throws
 */
export function openMysqlPool(options: MysqlPoolOptions): MysqlPool {
  const pool = createPool(poolOptions(options));
  const ready = new WeakSet<PoolConnection>();
  let packetBytesMax = Infinity;
  const begin = async (connection: PoolConnection): Promise<void> => {
    const asked = connection.promise();
    for (const sql of [...sessionOfAll, ...(options.session ?? [])]) {
      await asked.query({ sql, timeout: connectMs });
    }
    const sql = 'select @@max_allowed_packet as bytes';
    const [rows] = await asked.query<RowDataPacket[]>({ sql, timeout: connectMs });
    packetBytesMax = Number(rows[0]?.['bytes']);
  };
  return {
    connect: async () => {
      const connection = await connectionOf(pool);
      try {
        if (!ready.has(connection)) await begin(connection);
      } catch (cause) {
        connection.destroy();
        throw cause;
      }
      ready.add(connection);
      return leased(connection);
    },
    packetBytesMax: () => packetBytesMax,
    end: () => pool.promise().end(),
  };
}

function poolOptions({ url, connectionsMax, dateStrings = false, tls }: MysqlPoolOptions): PoolOptions {
  return {
    uri: url,
    connectionLimit: connectionsMax,
    connectTimeout: connectMs,
    keepAliveInitialDelay: keepAliveMs,
    maxPreparedStatements: statementsMax,
    timezone: 'Z',
    charset: 'utf8mb4',
    supportBigNumbers: true,
    dateStrings,
    ...(tls && { ssl: {}, stream: encrypting(tls) }),
  };
}

/** What the driver makes a connection of: settings of its own, as the driver reads them. */
interface Made {
  readonly config: { host: string; port?: number; socketPath?: string; ssl: unknown };
}

/**
 * Opens the connections that the driver will encrypt. It verifies the server for the host of its settings, where an
 * address with a dot behind is still verified as that address: one without it would be taken for `localhost`.
 */
function encrypting({ read, verify, tell = () => undefined }: SqlTls) {
  const latest = lastingly(read, tell);
  return ({ config }: Made) => {
    const { servername, ...texts } = latest();
    const { socketPath, port = defaultPort } = config;
    const host = config.host.replace(/^\[(.*)\]$/, '$1');
    const name = servername ?? host;
    config.ssl = { ...texts, rejectUnauthorized: verify !== 'none', verifyIdentity: verify === 'full' };
    config.host = isIP(name) === 0 ? name : `${name}.`;
    const to = socketPath === undefined ? { host, port } : { path: socketPath };
    return connect({ ...to, noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs });
  };
}

function connectionOf(pool: Pool): Promise<PoolConnection> {
  return new Promise((resolve, reject) => {
    pool.getConnection((cause, connection) => {
      if (cause) reject(inWords(cause));
      else resolve(connection);
    });
  });
}

/** Where a name has several addresses, Node's error says nothing by itself. */
function inWords(cause: Error): Error {
  if (cause.message !== '') return cause;
  return new Error(`MySQL cannot be reached (${String(errorField(cause, 'code'))})`, { cause });
}

function leased(connection: PoolConnection): MysqlConnection {
  const asked = connection.promise();
  let usable = true;
  return {
    query: async ({ text, values = [], timeoutMs }) => {
      const statement = { sql: text, ...(timeoutMs !== undefined && { timeout: timeoutMs }) };
      try {
        return values.length === 0
          ? await asked.query(statement)
          : await asked.execute({ ...statement, values: values as never[] });
      } catch (cause) {
        if (losesMysqlConnection(cause)) usable = false;
        throw cause;
      }
    },
    release: () => {
      if (usable) connection.release();
      else connection.destroy();
    },
  };
}
