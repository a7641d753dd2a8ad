/** SQLite through node:sqlite. The file may come, go and be replaced at any time: each lookup looks at it anew. */
import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { rfc3339 } from '../core/field-value.ts';
import { errorField, type Engine, type Row } from '../engine.ts';

const busy = 5;
const busyPollMs = 10;
const timeType = /^(date|datetime|timestamp)\b/i;

export function sqliteEngine(path: string): Engine {
  let open: { file: DatabaseSync; identity: string } | undefined;
  const shut = (): void => {
    open?.file.close();
    open = undefined;
  };
  const current = (): DatabaseSync => {
    const identity = identityOf(path);
    if (open !== undefined && open.identity === identity) return open.file;
    shut();
    open = { file: openFile(path), identity };
    return open.file;
  };
  return {
    dialect: {
      quote: '"',
      placeholder: () => '?',
      exactly: (column) => `cast(${column} as text) collate binary`,
      exactParameter: (placeholder) => placeholder,
      select: () => 'select',
    },
    rows: async (query, key, timeoutMs) => {
      // The wait for a writer's lock is ours: SQLite's own would block every other lookup with this thread.
      for (let waitedMs = 0; ; waitedMs += busyPollMs) {
        try {
          return ask(current(), query, key);
        } catch (cause) {
          if (errorField(cause, 'errcode') !== busy || waitedMs >= timeoutMs) throw cause;
          await delay(busyPollMs);
        }
      }
    },
    cannotHold: () => false, // columns take values of any type
    describe,
    close: () => Promise.resolve(shut()),
  };
}

/** @throws Error with the code ENOENT when there is no file */
function identityOf(path: string): string {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
}

const openFile = (path: string): DatabaseSync =>
  // Literals in double quotes are off: a column that is missing would be compared as the text of its name.
  new DatabaseSync(path, { readOnly: true, timeout: 0, enableDoubleQuotedStringLiterals: false });

function ask(file: DatabaseSync, query: string, key: string): Row[] {
  const statement = file.prepare(query);
  statement.setReadBigInts(true); // larger ones than a double holds would throw otherwise
  const times = new Set(
    statement.columns().flatMap(({ name, type }) => (type !== null && timeType.test(type) ? [name] : [])),
  );
  return statement
    .all(key, key)
    .map((row) =>
      Object.fromEntries(
        Object.entries(row).map(([name, value]) => [
          name,
          times.has(name) && typeof value === 'string' ? rfc3339(value) : value,
        ]),
      ),
    );
}

function describe(cause: unknown): string {
  if (errorField(cause, 'code') === 'ENOENT') return 'the file does not exist';
  // Names from the query only: SQLite does not put parameters into its messages.
  const missing = /no such (table|column): ["\w.$]+/.exec(String(errorField(cause, 'message')))?.[0];
  return missing ?? String(errorField(cause, 'errstr') ?? errorField(cause, 'code') ?? 'failed');
}
