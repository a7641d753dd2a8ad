/** What every SQL engine must do; run by the spec of each. */
import { expect, test } from 'vitest';
import { EventsRefused, openLedger, type LedgerOptions } from './index.ts';
import { freshTable, usageEvent } from './spec-usage-event.ts';

export interface LedgerUnderTest {
  /** Opens a ledger of `table` in the same database each time. */
  options(table: string): LedgerOptions;
  /** Runs SQL beside the ledger. */
  run(text: string): Promise<Record<string, unknown>[]>;
  /** The texts of all statements that `work` made the engine see on a ledger with these options. */
  statements(table: string, work: (options: LedgerOptions) => Promise<void>): Promise<string[]>;
}

const total = (fields: object) => ({
  key_id: 'k1',
  model: 'llama-3',
  requests: 1,
  requests_without_usage: 0,
  prompt_tokens: 5,
  completion_tokens: 7,
  total_tokens: 12,
  ...fields,
});

/** As the replaced system created it, but for the column types that every engine spells its own way. */
export const tableOfReplacedSystem = (table: string, statusCheck = '') =>
  `create table ${table} (request_id varchar(64), timestamp varchar(40), api_key varchar(128), user_id varchar(64),
    method varchar(10), path varchar(128), backend_url varchar(256), status_code int ${statusCheck}, latency_ms bigint,
    prompt_tokens int default 0, completion_tokens int default 0, total_tokens int default 0, request_body text)`;

export function ledgerConformance(start: () => Promise<LedgerUnderTest>): void {
  test('an event has exactly one row however often it is inserted', async () => {
    const { options } = await start();
    await using ledger = openLedger(options(freshTable()));
    const events = [usageEvent(), usageEvent(), usageEvent()];
    await ledger.insert(events);
    await ledger.insert([...events, usageEvent()]);
    expect(await ledger.totals()).toEqual([
      total({ requests: 4, prompt_tokens: 20, completion_tokens: 28, total_tokens: 48 }),
    ]);
  });

  test('two workers that insert the same batches at once leave one row per event', async () => {
    const { options } = await start();
    const table = freshTable();
    await using one = openLedger(options(table));
    await using other = openLedger(options(table));
    const events = Array.from({ length: 250 }, () => usageEvent());
    await Promise.all([
      one.insert(events),
      other.insert(events.toReversed()),
      one.insert(events),
      other.insert(events),
    ]);
    expect((await one.totals())[0]?.requests).toBe(250);
  });

  test('workers that start at the same moment migrate the table once', async () => {
    const { options } = await start();
    const table = freshTable();
    const ledgers = Array.from({ length: 4 }, () => openLedger(options(table)));
    const done = await Promise.all(ledgers.map((ledger) => ledger.migrate()));
    expect(done.flat().toSorted()).toEqual([
      '0001-usage-records',
      '0002-event-columns',
      '0003-indexes',
      '0004-wide-columns',
    ]);
    await Promise.all(ledgers.map((ledger) => ledger.close()));
    await using later = openLedger(options(table));
    expect(await later.migrate()).toEqual([]);
  });

  test('unknown token counts are null in the table, and told apart in the totals', async () => {
    const { options, run } = await start();
    const table = freshTable();
    await using ledger = openLedger(options(table));
    await ledger.insert([usageEvent({ usage: null, usage_source: 'none', ttft_ms: null }), usageEvent()]);
    const rows = await run(
      `select prompt_tokens, total_tokens, ttft_ms from ${table} where usage_source = 'none'`,
    );
    expect(rows).toEqual([{ prompt_tokens: null, total_tokens: null, ttft_ms: null }]);
    expect(await ledger.totals()).toEqual([total({ requests: 2, requests_without_usage: 1 })]);
  });

  test('totals are per key and model, from `since` up to but not including `until`', async () => {
    const { options } = await start();
    await using ledger = openLedger(options(freshTable()));
    await ledger.insert([
      usageEvent({ timestamp: '2026-02-01T00:00:00.000Z' }),
      usageEvent({
        timestamp: '2026-02-02T00:00:00.000Z',
        model: 'qwen',
        usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
      }),
      usageEvent({ timestamp: '2026-02-02T23:59:59.999Z', key_id: null }),
      usageEvent({ timestamp: '2026-02-03T00:00:00.000Z' }),
    ]);
    expect(await ledger.totals({ since: '2026-02-02T00:00:00Z', until: '2026-02-03T00:00:00Z' })).toEqual([
      total({ key_id: null }),
      total({ model: 'qwen', prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }),
    ]);
  });

  test('names that differ in case, accents or a sign are different names', async () => {
    const { options } = await start();
    await using ledger = openLedger(options(freshTable()));
    const models = ['llama', 'Llama', 'llamá', 'llama😀', 'llama😁'];
    await ledger.insert(models.map((model) => usageEvent({ model })));
    expect((await ledger.totals()).map(({ model }) => model).toSorted()).toEqual(models.toSorted());
  });

  test('text that the engine could refuse does not hold up its batch', async () => {
    const { options, run } = await start();
    const table = freshTable();
    await using ledger = openLedger(options(table));
    const odd = usageEvent({
      model: `nul\0 ${'x'.repeat(5_000)}`,
      path: '/v1/😀',
      request_body: { prompt: 'a\0b', emoji: '😀' },
    });
    await ledger.insert([usageEvent(), odd]);
    expect((await ledger.totals()).map((row) => row.requests)).toEqual([1, 1]);
    const [row] = await run(`select request_body from ${table} where request_body is not null`);
    const body = row?.['request_body'];
    expect(typeof body === 'string' ? JSON.parse(body) : body).toEqual({ prompt: 'a\ufffdb', emoji: '😀' });
  });

  test('no text of a caller is ever part of a statement', async () => {
    const { statements } = await start();
    const calling = `caller's "text" \\`;
    const texts = await statements(freshTable(), async (options) => {
      await using ledger = openLedger(options);
      const written = {
        request_id: calling,
        key_id: calling,
        api_key: calling,
        user_id: calling,
        model: calling,
      };
      const sent = { path: calling, backend: calling, backend_url: calling, request_body: { calling } };
      await ledger.insert([usageEvent({ ...written, ...sent }), usageEvent()]);
      expect(await ledger.totals({ since: '2026-01-01T00:00:00Z' })).toContainEqual(
        total({ key_id: calling, model: calling }),
      );
    });
    expect(texts.filter((text) => /insert into .*usage/i.test(text)).length).toBeGreaterThan(0);
    expect(texts.filter((text) => text.includes('caller'))).toEqual([]);
  });

  test('an event whose values are refused is named, and the rest of its batch is written', async () => {
    const { options, run } = await start();
    const table = freshTable();
    await run(tableOfReplacedSystem(table, 'check (status_code < 1000)'));
    await using ledger = openLedger(options(table));
    const refused = usageEvent({ status_code: 1_000 });
    const insert = ledger.insert([usageEvent(), refused, usageEvent()]);
    const cause = await insert.catch((thrown: unknown) => thrown);
    expect(cause).toBeInstanceOf(EventsRefused);
    expect(cause).toHaveProperty('events', [refused]);
    expect((await ledger.totals())[0]?.requests).toBe(2);
  });

  test.each([
    ['without its request id', { request_id: undefined }],
    ['whose model is a number', { model: 7 }],
    ['without a time', { timestamp: undefined }],
    ['whose time is none', { timestamp: 'noon' }],
  ])('an event %s, as a damaged disk may give it back, is named and holds up no other', async (_, damage) => {
    const { options } = await start();
    await using ledger = openLedger(options(freshTable()));
    const odd = usageEvent(damage as object);
    const cause = await ledger
      .insert([usageEvent(), odd, usageEvent()])
      .then(() => undefined)
      .catch((thrown: unknown) => thrown);
    expect(cause).toBeInstanceOf(EventsRefused);
    expect(cause).toHaveProperty('events', [odd]);
    expect((await ledger.totals())[0]?.requests).toBe(2);
  });

  test('a request body that the engine refuses does not cost the event', async () => {
    const { options, run } = await start();
    const table = freshTable();
    await using ledger = openLedger(options(table));
    const deep = JSON.parse(`${'['.repeat(200)}${']'.repeat(200)}`) as unknown; // MariaDB takes 31, MySQL 100
    await ledger.insert([usageEvent(), usageEvent({ request_body: deep }), usageEvent()]);
    expect((await ledger.totals())[0]?.requests).toBe(3);
    const [row] = await run(`select request_body from ${table} where request_body is not null`);
    const body = row?.['request_body'];
    const kept = typeof body === 'string' ? (JSON.parse(body) as unknown) : body;
    expect([deep, { omitted: 'refused', bytes: 400 }]).toContainEqual(kept);
  });

  test('a table of the replaced system keeps its rows and takes new ones', async () => {
    const { options, run } = await start();
    const table = freshTable();
    await run(tableOfReplacedSystem(table));
    await run(`insert into ${table} (request_id, total_tokens) values ('old', 3)`);
    await using ledger = openLedger(options(table));
    await ledger.insert([usageEvent({ request_id: 'r'.repeat(128), path: `/v1/${'p'.repeat(500)}` })]);
    const rows = await run(
      `select request_id, event_id, total_tokens from ${table} where request_id = 'old'`,
    );
    expect(rows.map((row) => ({ ...row, total_tokens: Number(row['total_tokens']) }))).toEqual([
      { request_id: 'old', event_id: null, total_tokens: 3 },
    ]);
    expect(await ledger.totals()).toEqual([total({})]);
  });

  test.each([
    { made: 'by the ledger', before: false },
    { made: 'by the replaced system', before: true },
  ])('a table made $made takes token counts beyond 2^31', async ({ before }) => {
    const { options, run } = await start();
    const table = freshTable();
    if (before) await run(tableOfReplacedSystem(table));
    await using ledger = openLedger(options(table));
    const [prompt_tokens, completion_tokens, more] = [2 ** 31, 2 ** 52, 2 ** 40];
    const parts = { cached_tokens: more, cache_write_tokens: more, reasoning_tokens: more };
    const usage = { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
    await ledger.insert([usageEvent({ usage: { ...usage, ...parts } })]);
    expect(await ledger.totals()).toEqual([total(usage)]);
    const [row] = await run(`select cached_tokens, cache_write_tokens, reasoning_tokens from ${table}`);
    expect(Object.values(row ?? {}).map(Number)).toEqual([more, more, more]);
  });
}
