/** The ledger behind what platform teams put before PostgreSQL: poolers, and a proxy that fails over. */
import {
  postgresForTests,
  startHaproxy,
  startPgbouncer,
  startPostgres,
  type Haproxy,
  type PlaceForTest,
  type PrivateServer,
} from '@llmproxy/real-services';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openLedger } from './index.ts';
import { freshTable, usageEvent } from './spec-usage-event.ts';

async function run(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

const socketOf = (url: string) => `${new URL(url).searchParams.get('host')}/.s.PGSQL.5432`;

const requests = async (url: string, table: string) =>
  Number((await run(url, `select count(*) from ${table}`))[0]?.['count']);

describe('behind PgBouncer in statement pooling', () => {
  let place: PlaceForTest, bouncer: PrivateServer;
  beforeAll(async () => {
    place = await postgresForTests();
    bouncer = await startPgbouncer({ server: place.url, poolMode: 'statement' });
  });
  afterAll(async () => {
    await bouncer.stop();
    await place[Symbol.asyncDispose]();
  });

  test('the refusal says what to set', async () => {
    const table = freshTable();
    await using direct = openLedger({ driver: 'postgres', url: place.url, table });
    await direct.migrate(); // so that a single insert would do
    await using ledger = openLedger({ driver: 'postgres', url: bouncer.url, table });
    await expect(ledger.insert([usageEvent()])).rejects.toThrow(
      'PgBouncer pools by statement, where no transaction can be: set pool_mode to transaction or session',
    );
  });
});

describe('behind HAProxy, after a switch to another primary', () => {
  let old: PrivateServer, next: PrivateServer, proxy: Haproxy;
  beforeAll(async () => {
    [old, next] = await Promise.all([startPostgres(), startPostgres()]);
    const sockets = [old, next].map(({ url }) => socketOf(url));
    proxy = await startHaproxy({ sockets, socketName: '.s.PGSQL.5432' });
  });
  afterAll(async () => void (await Promise.all([proxy.stop(), old.stop(), next.stop()])));

  /** Waits until a session that was open before sees it, as those of the ledger do. */
  async function setReadOnly(url: string, value: 'on' | 'off'): Promise<void> {
    const session = new pg.Client({ connectionString: url });
    await session.connect();
    await session.query(`alter system set default_transaction_read_only = ${value}`);
    await session.query('select pg_reload_conf()');
    await expect
      .poll(async () => (await session.query('show default_transaction_read_only')).rows)
      .toEqual([{ default_transaction_read_only: value }]);
    await session.end();
  }

  const endConnections = (url: string) =>
    run(url, `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'llmproxy'`);

  test.each([
    { what: 'answers that it is read-only', demote: (url: string) => setReadOnly(url, 'on') },
    { what: 'ends its connections', demote: endConnections },
  ])('events reach the new one without a restart when the old one $what', async ({ demote }) => {
    const table = freshTable();
    await proxy.lead(0);
    const url = `postgres://postgres@localhost/postgres?host=${encodeURIComponent(proxy.folder)}`;
    await using ledger = openLedger({ driver: 'postgres', url, table });
    await ledger.insert([usageEvent()]);
    await using replica = openLedger({ driver: 'postgres', url: next.url, table });
    await replica.migrate();
    await proxy.lead(1);
    await demote(old.url);
    const event = usageEvent();
    // As the worker does: the same events again until they are in.
    await expect.poll(() => ledger.insert([event]).then(() => 'written', String)).toBe('written');
    await setReadOnly(old.url, 'off');
    expect([await requests(old.url, table), await requests(next.url, table)]).toEqual([1, 1]);
  });
});
