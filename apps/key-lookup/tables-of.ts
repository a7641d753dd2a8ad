/** The tables of the config as the stage that reads them knows them. */
import type { Config } from '@llmproxy/config';
import type { KeyDatabase, KeyTablesOptions } from '@llmproxy/key-tables';

/** By provider; empty when there is none, or clients are not asked for keys. */
export function tablesOf({ auth }: Pick<Config, 'auth'>): KeyTablesOptions['tables'] {
  const tables = new Map<string, ReturnType<typeof tableOf>>();
  if (!auth.enabled) return tables;
  for (const provider of auth.pipeline) {
    if (provider.type === 'database') tables.set(provider.name, tableOf(provider));
  }
  return tables;
}

type Provider = Config['auth']['pipeline'][number];

function tableOf({ database, timeout }: Extract<Provider, { type: 'database' }>) {
  const { storage, table, key_column, fields, key_hash } = database;
  return { database: storage, table, keyColumn: key_column, fields, keyHash: key_hash, timeoutMs: timeout };
}

export function databasesOf({ storage }: Pick<Config, 'storage'>): KeyDatabase[] {
  return storage.databases.map((database) => {
    if (database.driver === 'sqlite') return { name: database.name, driver: 'sqlite', path: database.path };
    const { name, driver, dsn, max_open_conns } = database;
    return { name, driver, url: dsn, connectionsMax: max_open_conns };
  });
}
