/** The tables of the config as the stage that reads them knows them. */
import { sqlTarget, type Config } from '@llmproxy/config';
import type { KeyDatabase, KeyTablesOptions } from '@llmproxy/key-tables';
import type { Logger } from '@llmproxy/telemetry';

/** By provider; empty when there is none, or clients are not asked for keys. */
export function tablesOf({ auth, storage }: Pick<Config, 'auth' | 'storage'>): KeyTablesOptions['tables'] {
  const tables = new Map<string, ReturnType<typeof tableOf>>();
  if (!auth.enabled) return tables;
  for (const provider of auth.pipeline) {
    if (provider.type === 'database') tables.set(provider.name, tableOf(provider, storage));
  }
  return tables;
}

type Provider = Config['auth']['pipeline'][number];

function tableOf(
  { database, timeout }: Extract<Provider, { type: 'database' }>,
  { databases }: Config['storage'],
) {
  const { storage, key_column, fields, key_hash } = database;
  const table = inSchema(
    database.table,
    databases.find(({ name }) => name === storage),
  );
  return { database: storage, table, keyColumn: key_column, fields, keyHash: key_hash, timeoutMs: timeout };
}

type Database = Config['storage']['databases'][number];

/** A table that is named without its schema lies in that of its database. */
function inSchema(table: string, database: Database | undefined): string {
  if (database === undefined || database.driver === 'sqlite' || table.includes('.')) return table;
  return database.schema === undefined ? table : `${database.schema}.${table}`;
}

export function databasesOf({ storage }: Pick<Config, 'storage'>, log: Pick<Logger, 'warn'>): KeyDatabase[] {
  return storage.databases.map((database) => {
    const { name } = database;
    if (database.driver === 'sqlite') return { name, driver: 'sqlite', path: database.path };
    const { tls, ...target } = sqlTarget(database);
    const tell = (reason: string) => log.warn({ database: name }, reason);
    return { name, driver: database.driver, ...target, ...(tls && { tls: { ...tls, tell } }) };
  });
}
