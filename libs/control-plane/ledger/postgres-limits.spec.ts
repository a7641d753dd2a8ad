import { randomBytes } from 'node:crypto';
import { postgresForTests } from '@llmproxy/real-services';
import pg from 'pg';
import { expect, test } from 'vitest';
import { openLedger } from './index.ts';
import { usageEvent } from './spec-usage-event.ts';

test('a body beyond what an index of the table takes gives way to a mark', async () => {
  await using place = await postgresForTests();
  await using ledger = openLedger({ driver: 'postgres', url: place.url });
  await ledger.migrate();
  const client = new pg.Client({ connectionString: place.url });
  await client.connect();
  await client.query('create index on usage_records ((request_body::text))');
  const prompt = randomBytes(5_000).toString('base64');
  await ledger.insert([usageEvent(), usageEvent({ request_body: { prompt } }), usageEvent()]);
  const found = await client.query('select request_body from usage_records where request_body is not null');
  await client.end();
  expect(found.rows).toEqual([
    { request_body: { omitted: 'too large', bytes: prompt.length + '{"prompt":""}'.length } },
  ]);
  expect((await ledger.totals())[0]?.requests).toBe(3);
});
