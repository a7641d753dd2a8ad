/** From a config file to rows in the database it names. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '@llmproxy/config';
import { onFreePort, recordMariadb, startMariadb, startPostgres } from '@llmproxy/real-services';
import { createLogger } from '@llmproxy/telemetry';
import { usageEvent } from '@llmproxy/usage-queue/testing';
import mysql from 'mysql2/promise';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { reportersOf } from './reporters.ts';

const tlsFile = (name: string) => fileURLToPath(new URL(`../../test/fixtures/tls/${name}`, import.meta.url));
const pem = (name: string) => readFileSync(tlsFile(name), 'utf8');

const texts = { cert: pem('server.crt'), key: pem('server.key'), ca: pem('ca.crt') };
const tls = {
  ca_file: tlsFile('ca.crt'),
  cert_file: tlsFile('client.crt'),
  key_file: tlsFile('client.key'),
};

/** Writes one event to what a config file calls a database. */
async function deliverTo(database: object): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'reporters-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'config.yaml');
  const config = {
    backends: [{ url: 'http://127.0.0.1:9' }],
    storage: { databases: [{ name: 'main', ...database }] },
    usage: { reporters: [{ name: 'sql', type: 'database', database: { storage: 'main' } }] },
  };
  writeFileSync(file, JSON.stringify(config));
  const log = createLogger({ level: 'error', app: 'worker' });
  const [reporter] = reportersOf(loadConfig(file, {}), log);
  onTestFinished(() => reporter?.close());
  await reporter?.deliver([usageEvent({ event_id: 'e-1' })]);
}

test('usage goes to a PostgreSQL that asks for our certificate, into the schema of the config', async () => {
  const { port, server } = await onFreePort((free) => startPostgres({ tls: { port: free, ...texts } }));
  onTestFinished(() => server.stop());
  const address = { driver: 'postgres', host: 'localhost', port, user: 'postgres', database: 'postgres' };
  await deliverTo({ ...address, schema: 'gateway', tls });
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  const { rows } = await client.query('select event_id, total_tokens from gateway.usage_records');
  await client.end();
  expect(rows).toEqual([{ event_id: 'e-1', total_tokens: '12' }]);
});

test('usage goes to a MariaDB that asks for our certificate', async () => {
  const server = await startMariadb({ tls: texts });
  onTestFinished(() => server.stop());
  const beside = await mysql.createConnection(server.url);
  onTestFinished(() => beside.end());
  await beside.query('create database place');
  await beside.query('create user secured@localhost require x509');
  await beside.query('grant all on place.* to secured@localhost');
  await using relay = await recordMariadb(server.url);
  const port = Number(new URL(relay.url).port);
  const address = { driver: 'mysql', host: 'localhost', port, user: 'secured', database: 'place' };
  await deliverTo({ ...address, tls });
  const [rows] = await beside.query('select event_id, total_tokens from place.usage_records');
  expect(rows).toEqual([{ event_id: 'e-1', total_tokens: 12 }]);
});
