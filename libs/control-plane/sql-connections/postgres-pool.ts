/**
 * Connections to PostgreSQL. Guarantees: one that broke, or whose server takes no writes any more, is not used again, so
 * that the next query reaches whoever is the server by then; and one that breaks while nobody asks ends no process.
 */
import { checkServerIdentity as checkName, type ConnectionOptions } from 'node:tls';
import { lastingly, type TlsTexts } from '@llmproxy/client-login';
import pg from 'pg';
import { errorField } from './core/error-field.ts';
import { isStatementPooling, losesConnection } from './core/postgres-failures.ts';
import { withoutTlsWords } from './core/without-tls-words.ts';
import type { SqlTls } from './tls.ts';

const connectMs = 5_000;
/** Idle for so long, a connection is probed: one whose other end is gone without a word is noticed. */
const keepAliveMs = 10_000;

export interface PostgresPoolOptions {
  readonly url: string;
  /** At least 1. */
  readonly connectionsMax: number;
  /** What the server shows for these connections. */
  readonly applicationName: string;
  /** The longest a query of `connect` may take before its connection is given up. Default: no bound. */
  readonly queryMs?: number | undefined;
  /** Instead of what the words of libpq in the URL would mean to the driver. Left out: no TLS, unless they ask for it. */
  readonly tls?: SqlTls | undefined;
  /** How values arrive. Default: as the driver has it. */
  readonly types?: pg.CustomTypesConfig | undefined;
}

/** Also what kysely takes as its pool. */
export interface PostgresPool {
  readonly options: object;
  /** @throws Error in words when the server cannot be reached */
  connect(): Promise<PostgresConnection>;
  /** The same connections, for queries that may take hours, such as altering a large table. */
  readonly unhurried: Pick<PostgresPool, 'options' | 'connect' | 'end'>;
  end(): Promise<void>;
}

export interface TimedQuery extends pg.QueryConfig {
  /** The longest it may take, in ms, before its connection is given up. */
  query_timeout?: number;
}

export interface PostgresConnection {
  /** @throws StatementPooling, or what the driver throws */
  query<Row extends pg.QueryResultRow>(
    query: string | TimedQuery,
    values?: readonly unknown[],
  ): Promise<pg.QueryResult<Row>>;
  /** Whether another query would find its server. */
  isUsable(): boolean;
  /** Hands it back; one that is not usable is closed. */
  release(): void;
}

/** The server is a PgBouncer that gives each statement a connection of its own. */
export class StatementPooling extends Error {
  constructor(cause: unknown) {
    super(
      'PgBouncer pools by statement, where no transaction can be: set pool_mode to transaction or session for this database',
      { cause },
    );
    this.name = 'StatementPooling';
  }
}

/**
 * Opens a pool without connecting. The host's name is looked up for each connection anew.
 * @throws what the reading of certificates throws
 */
export function openPostgresPool(options: PostgresPoolOptions): PostgresPool {
  const { url, connectionsMax, applicationName, queryMs, types, tls } = options;
  const pool = new pg.Pool({
    ...(tls === undefined
      ? { connectionString: url }
      : { connectionString: withoutTlsWords(url), Client: clientOver(tls) as new () => pg.ClientBase }),
    max: connectionsMax,
    connectionTimeoutMillis: connectMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveMs,
    application_name: applicationName,
    ...(types !== undefined && { types }),
  });
  pool.on('error', () => undefined); // an idle connection that breaks is replaced at the next query
  const end = () => pool.end();
  const connect = async (timeoutMs: number | undefined) => {
    try {
      return leased(await pool.connect(), timeoutMs);
    } catch (cause) {
      throw inWords(cause);
    }
  };
  return {
    options: {},
    connect: () => connect(queryMs),
    unhurried: { options: {}, connect: () => connect(undefined), end },
    end,
  };
}

/** Connections that begin with the certificates that are valid then. */
function clientOver({ read, verify, tell = () => undefined }: SqlTls): typeof pg.Client {
  const texts = lastingly(read, tell);
  return class extends pg.Client {
    constructor(config: pg.ClientConfig) {
      super({ ...config, ssl: secured(texts(), verify) });
    }
  };
}

function secured({ servername, ...texts }: TlsTexts, verify: SqlTls['verify']): ConnectionOptions {
  if (verify === 'none') return { ...texts, rejectUnauthorized: false };
  // The driver puts the host in the place of a name that is given to it.
  const checkServerIdentity: typeof checkName =
    verify === 'ca' ? () => undefined : (host, certificate) => checkName(servername ?? host, certificate);
  return { ...texts, checkServerIdentity };
}

function leased(client: pg.PoolClient, queryMs: number | undefined): PostgresConnection {
  let usable = true;
  const lose = () => void (usable = false);
  client.on('error', lose); // an event that nobody heard would end the process
  return {
    query: async <Row extends pg.QueryResultRow>(
      query: string | TimedQuery,
      values: readonly unknown[] = [],
    ) => {
      const config: TimedQuery = typeof query === 'string' ? { text: query, values: [...values] } : query;
      try {
        return await client.query<Row>({
          ...(queryMs !== undefined && { query_timeout: queryMs }),
          ...config,
        });
      } catch (cause) {
        if (losesConnection(cause)) lose();
        throw isStatementPooling(cause) ? new StatementPooling(cause) : cause;
      }
    },
    isUsable: () => usable,
    release: () => {
      client.release(!usable);
      client.off('error', lose); // the pool listens again by now
    },
  };
}

/** Where a name has several addresses, Node's error says nothing by itself. */
function inWords(cause: unknown): unknown {
  if (errorField(cause, 'message') !== '') return cause;
  return new Error(`PostgreSQL cannot be reached (${String(errorField(cause, 'code'))})`, { cause });
}
