import type { SqlTls } from '@llmproxy/sql-connections';
import type { Dialect } from './core/select-key.ts';

export { errorField } from '@llmproxy/sql-connections';

export type KeyDatabase = Readonly<
  { name: string } & (
    | { driver: 'sqlite'; path: string }
    | {
        driver: 'postgres' | 'mysql';
        url: string;
        connectionsMax: number;
        /** Left out: no TLS, unless the URL asks for it in the driver's own words. */
        tls?: SqlTls | undefined;
      }
  )
>;

export type Row = Readonly<Record<string, unknown>>;

/** One kind of SQL database, opened for reading only. */
export interface Engine {
  readonly dialect: Dialect;
  /**
   * Runs a query with two parameters.
   * @param timeoutMs after which the database itself gives up, where it can
   */
  rows(query: string, key: string, timeoutMs: number): Promise<Row[]>;
  /** True when the database says that no row can hold such a key, as with a word in a column of UUIDs. */
  cannotHold(cause: unknown): boolean;
  /** What went wrong, for operators; never the driver's own words, which may quote the key. */
  describe(cause: unknown): string;
  close(): Promise<void>;
}
