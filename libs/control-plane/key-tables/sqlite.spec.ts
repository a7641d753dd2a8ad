import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { openKeyTables } from './index.ts';
import { keyTablesConformance } from './key-tables.conformance.ts';

const folder = mkdtempSync(join(tmpdir(), 'key-tables-'));
afterAll(() => rmSync(folder, { recursive: true }));

function runOn(path: string, statement: string): Promise<void> {
  const file = new DatabaseSync(path);
  file.exec(statement);
  file.close();
  return Promise.resolve();
}

describe('SQLite', () => {
  keyTablesConformance(() => {
    const path = join(folder, 'keys.db');
    return Promise.resolve({
      database: { name: 'main', driver: 'sqlite', path },
      timeType: 'datetime',
      run: (statement) => runOn(path, statement),
      lock: () => {
        const file = new DatabaseSync(path);
        file.exec('begin exclusive');
        return Promise.resolve(() => Promise.resolve(file.close()));
      },
      absent: () => {
        const later = join(mkdtempSync(join(folder, 'absent-')), 'later.db');
        return {
          database: { name: 'main', driver: 'sqlite', path: later },
          create: () => Promise.resolve((statement: string) => runOn(later, statement)),
        };
      },
      cutConnections: () => Promise.resolve(),
      statements: async (work) => {
        const seen = (['prepare', 'exec'] as const).map((kind) => vi.spyOn(DatabaseSync.prototype, kind));
        try {
          await work({ name: 'main', driver: 'sqlite', path });
          return seen.flatMap(({ mock }) => mock.calls.map(([text]) => text));
        } finally {
          for (const spy of seen) spy.mockRestore();
        }
      },
    });
  });

  test('a file put in the place of another is read from the next lookup on', async () => {
    const [path, next] = [join(folder, 'replaced.db'), join(folder, 'next.db')];
    for (const [file, name] of [
      [path, 'old'],
      [next, 'new'],
    ] as const) {
      await runOn(file, `create table k (api_key text, name text); insert into k values ('sk-1', '${name}')`);
    }
    await using tables = disposable(path);
    expect(await tables.find('p', 'sk-1')).toMatchObject({ name: 'old' });
    renameSync(next, path);
    expect(await tables.find('p', 'sk-1')).toMatchObject({ name: 'new' });
  });

  test('a column that ignores case does not make keys do so', async () => {
    const path = join(folder, 'nocase.db');
    await runOn(path, `create table k (api_key text collate nocase); insert into k values ('sk-a')`);
    await using tables = disposable(path);
    expect(await tables.find('p', 'SK-A')).toBeUndefined();
    expect(await tables.find('p', 'sk-a')).toEqual({ api_key: 'sk-a' });
  });
});

function disposable(path: string) {
  const table = { table: 'k', keyColumn: 'api_key', fields: [], keyHash: 'none' as const };
  const tables = openKeyTables({
    databases: [{ name: 'main', driver: 'sqlite', path }],
    tables: new Map([['p', { ...table, database: 'main', timeoutMs: 5_000 }]]),
  });
  return { ...tables, [Symbol.asyncDispose]: () => tables.close() };
}
