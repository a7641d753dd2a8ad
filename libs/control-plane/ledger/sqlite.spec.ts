import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { openLedger } from './index.ts';
import { ledgerConformance } from './ledger.conformance.ts';

const folder = mkdtempSync(join(tmpdir(), 'ledger-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'not-there-yet', 'llmproxy.db');

describe('SQLite', () => {
  ledgerConformance(async () => {
    await openLedger({ driver: 'sqlite', path, table: 'warm' }).migrate();
    return {
      options: (table) => ({ driver: 'sqlite', path, table }),
      run: async (text) => {
        const file = new DatabaseSync(path, { timeout: 2_000 });
        try {
          return file.prepare(text).all();
        } finally {
          file.close();
        }
      },
      statements: async (table, work) => {
        const seen = (['prepare', 'exec'] as const).map((kind) => vi.spyOn(DatabaseSync.prototype, kind));
        try {
          await work({ driver: 'sqlite', path, table });
          return seen.flatMap(({ mock }) => mock.calls.map(([text]) => text));
        } finally {
          for (const spy of seen) spy.mockRestore();
        }
      },
    };
  });

  test('a reader is not blocked by a writer: the file is in WAL mode', async () => {
    await using ledger = openLedger({ driver: 'sqlite', path });
    await ledger.migrate();
    expect(new DatabaseSync(path).prepare('pragma journal_mode').get()).toEqual({ journal_mode: 'wal' });
  });
});
