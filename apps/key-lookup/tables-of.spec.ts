/** From a config file to keys in the database it names. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '@llmproxy/config';
import { openKeyTables } from '@llmproxy/key-tables';
import { onFreePort, startPostgres } from '@llmproxy/real-services';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { databasesOf, tablesOf } from './tables-of.ts';

const tlsFile = (name: string) => fileURLToPath(new URL(`../../test/fixtures/tls/${name}`, import.meta.url));
const pem = (name: string) => readFileSync(tlsFile(name), 'utf8');

test('keys lie in a PostgreSQL that asks for our certificate, in the schema of the config or in one that a table names', async () => {
  const texts = { cert: pem('server.crt'), key: pem('server.key'), ca: pem('ca.crt') };
  const { port, server } = await onFreePort((free) => startPostgres({ tls: { port: free, ...texts } }));
  onTestFinished(() => server.stop());
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  await client.query(`create schema crm; create table crm.customers (token text);
    insert into crm.customers values ('sk-1');
    create schema shop; create table shop.customers (token text); insert into shop.customers values ('sk-2')`);
  await client.end();

  const folder = mkdtempSync(join(tmpdir(), 'tables-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'config.yaml');
  const files = `sslrootcert=${tlsFile('ca.crt')}&sslcert=${tlsFile('client.crt')}&sslkey=${tlsFile('client.key')}`;
  const dsn = `postgres://postgres@localhost:${port}/postgres?sslmode=verify-ca&${files}`;
  const provider = (name: string, table: string) => {
    return { name, type: 'database', database: { storage: 'main', table, key_column: 'token' } };
  };
  const config = {
    backends: [{ url: 'http://127.0.0.1:9' }],
    storage: { databases: [{ name: 'main', driver: 'postgres', dsn, schema: 'crm' }] },
    auth: { pipeline: [provider('ours', 'customers'), provider('theirs', 'shop.customers')] },
  };
  writeFileSync(file, JSON.stringify(config));
  const loaded = loadConfig(file, {});
  const databases = databasesOf(loaded, { warn: () => undefined });
  const tables = openKeyTables({ databases, tables: tablesOf(loaded) });
  onTestFinished(() => tables.close());
  expect(await tables.find('ours', 'sk-1')).toEqual({ token: 'sk-1' });
  expect(await tables.find('ours', 'sk-2')).toBeUndefined();
  expect(await tables.find('theirs', 'sk-2')).toEqual({ token: 'sk-2' });
});
