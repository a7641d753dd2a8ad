/** PostgreSQL over TLS: who is let in, and which servers are taken for ours. */
import dns from 'node:dns';
import { readFileSync } from 'node:fs';
import { onFreePort, startPostgres, type PrivateServer } from '@llmproxy/real-services';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { openPostgresPool, type SqlTls } from './index.ts';

const pem = (name: string) =>
  readFileSync(new URL(`../../../test/fixtures/tls/${name}`, import.meta.url), 'utf8');
const ours = { ca: pem('ca.crt'), cert: pem('client.crt'), key: pem('client.key') };
const strangers = { ...ours, ca: pem('backend.crt') };

let at: { port: number; server: PrivateServer };
beforeAll(async () => {
  const texts = { cert: pem('server.crt'), key: pem('server.key'), ca: pem('ca.crt') };
  at = await onFreePort((port) => startPostgres({ tls: { port, ...texts } }));
});
afterAll(() => at.server.stop());

/** Asks the server whether a connection made this way is encrypted. */
function open(host: string, tls: SqlTls, words = '') {
  const url = `postgres://postgres@${host}:${at.port}/postgres${words}`;
  const pool = openPostgresPool({ url, connectionsMax: 2, applicationName: 'spec', tls });
  onTestFinished(() => pool.end());
  return async () => {
    const connection = await pool.connect();
    const { rows } = await connection.query<{ ssl: boolean }>(
      'select ssl from pg_stat_ssl where pid = pg_backend_pid()',
    );
    connection.release();
    return rows[0]?.ssl;
  };
}

test.each([
  ['full', 'localhost', ours],
  ['full', '127.0.0.1', ours],
  ['full', '127.0.0.2', { ...ours, servername: 'store.test' }],
  ['full', 'localhost', { ...ours, servername: 'store.test' }],
  ['ca', '127.0.0.2', ours],
  ['ca', 'localhost', { ...ours, servername: 'other.test' }],
  ['none', '127.0.0.2', strangers],
] as const)('verifying %s, the server at %s is taken for ours', async (verify, host, texts) => {
  expect(await open(host, { read: () => texts, verify })()).toBe(true);
});

test.each([
  ['full', '127.0.0.2', ours, /altnames/],
  ['full', 'localhost', { ...ours, servername: 'other.test' }, /altnames/],
  ['full', 'localhost', strangers, /self-signed|unable to (get|verify)/],
  ['ca', 'localhost', strangers, /self-signed|unable to (get|verify)/],
  ['full', 'localhost', { ca: ours.ca }, /requires a valid client certificate/],
] as const)('verifying %s, a connection to %s is refused', async (verify, host, texts, reason) => {
  await expect(open(host, { read: () => texts, verify })()).rejects.toThrow(reason);
});

test('what the URL says of TLS is not left to the driver', async () => {
  const tls: SqlTls = { read: () => ours, verify: 'full' };
  expect(await open('localhost', tls, '?sslmode=disable&sslrootcert=/nowhere')()).toBe(true);
});

test('certificates are read for each connection; when they cannot be read any more the last stay in use', async () => {
  let read = () => ({ ...strangers });
  const told: string[] = [];
  const tls: SqlTls = { read: () => read(), verify: 'full', tell: (reason) => told.push(reason) };
  const ask = open('localhost', tls);
  await expect(ask()).rejects.toThrow();
  read = () => ours;
  expect(await ask()).toBe(true);
  read = () => {
    throw new Error('/etc/tls/ca.pem: the file of authorities does not exist');
  };
  expect(await Promise.all([ask(), ask()])).toEqual([true, true]); // the second makes a connection of its own
  expect(told).toEqual([
    '/etc/tls/ca.pem: the file of authorities does not exist; what was read last stays in use',
  ]);
  expect(() => open('localhost', tls)).toThrow('/etc/tls/ca.pem');
});

test('the name of the server is looked up for each connection', async () => {
  const addresses = ['127.0.0.3', '127.0.0.1'];
  vi.spyOn(dns, 'lookup').mockImplementation(((
    _name: string,
    options: { all?: boolean },
    done: (...found: unknown[]) => void,
  ) => {
    const address = addresses.shift() ?? '';
    done(null, options.all === true ? [{ address, family: 4 }] : address, 4);
  }) as never);
  onTestFinished(() => void vi.restoreAllMocks());
  const ask = open('db.test', { read: () => ({ ...ours, servername: 'store.test' }), verify: 'full' });
  await expect(ask()).rejects.toThrow('ECONNREFUSED');
  expect(await ask()).toBe(true);
});
