/** From the settings of a SQL server to what connections to it are opened with. */
import type { TlsTexts } from '@llmproxy/client-login';
import type { Verify } from './core/database-tls.ts';
import type { Database } from './core/resolve.ts';
import { tlsReader } from './read-login.ts';

export interface SqlTarget {
  readonly url: string;
  readonly connectionsMax: number;
  /** `read` reads the files with each call, and throws when it cannot. Left out: no TLS. */
  readonly tls?: { readonly read: () => TlsTexts; readonly verify: Verify };
}

/** What to open connections to this server with. */
export function sqlTarget(server: Extract<Database, { driver: 'postgres' | 'mysql' }>): SqlTarget {
  const { dsn, max_open_conns, tls } = server;
  const read = tlsReader(tls);
  return {
    url: dsn,
    connectionsMax: max_open_conns,
    ...(tls !== undefined && read !== undefined && { tls: { read, verify: tls.verify } }),
  };
}
