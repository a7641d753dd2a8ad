import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLogger, openLogDestination, type LogDestination } from './logger.ts';

/** A destination that keeps its lines. */
function kept() {
  const lines: string[] = [];
  const destination: LogDestination = {
    write: (line) => void lines.push(line),
    flushSync: () => undefined,
    reopen: () => undefined,
  };
  return { lines, destination };
}
const parsed = (line: string | undefined) => JSON.parse(line ?? '') as Record<string, unknown>;

test.each([
  'authorization',
  'api_key',
  'apiKey',
  'key',
  'secret',
  'password',
  'cookie',
  'token',
  'credential',
])('a field named %s is never printed, on its own or inside another', (name) => {
  const { lines, destination } = kept();
  const log = createLogger({ level: 'info', app: 'spec', destination });
  log.info({ [name]: 'canary', backend: { [name]: 'canary', url: 'http://b' } }, 'a line');
  log.child({ part: 'x' }).warn({ headers: { [name]: 'canary' } });
  expect(lines.join()).not.toContain('canary');
  expect(parsed(lines[0])).toMatchObject({ [name]: '[redacted]', backend: { url: 'http://b' } });
});

test('a line is one JSON object with level, time, app and message', () => {
  const { lines, destination } = kept();
  createLogger({ level: 'info', app: 'spec', destination }).warn({ n: 1 }, 'first\nsecond');
  expect(lines).toHaveLength(1);
  expect(lines[0]?.trimEnd()).not.toContain('\n');
  expect(parsed(lines[0])).toEqual({
    level: 'warn',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
    app: 'spec',
    pid: process.pid,
    n: 1,
    msg: 'first\nsecond',
  });
});

test('lines below the level are not written', () => {
  const { lines, destination } = kept();
  const log = createLogger({ level: 'warn', app: 'spec', destination });
  log.info('no');
  log.warn('yes');
  expect(lines.map((line) => parsed(line)['msg'])).toEqual(['yes']);
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'llmproxy-log-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Lines of a file once it has so many: the destination opens and writes in its own time. */
async function linesOf(path: string, count: number): Promise<string[]> {
  for (;;) {
    const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
    if (lines.length >= count) return lines;
    await nextTurn();
  }
}

test('a file gets its folder made, and whole lines in order', async () => {
  const path = join(folder, 'made', 'access.log');
  const destination = openLogDestination({ path });
  const long = 'x'.repeat(10_000);
  for (let i = 0; i < 100; i++) destination.write(`${i} ${long}\n`);
  const lines = await linesOf(path, 100);
  expect(lines.every((line, i) => line === `${i} ${long}`)).toBe(true);
});

test('after a rotation has renamed the file, reopen goes on in a new one', async () => {
  const path = join(folder, 'access.log');
  const destination = openLogDestination({ path });
  destination.write('before\n');
  expect(await linesOf(path, 1)).toEqual(['before']);
  renameSync(path, `${path}.1`);
  destination.reopen();
  destination.write('after\n');
  expect(await linesOf(path, 1)).toEqual(['after']);
  expect(readFileSync(`${path}.1`, 'utf8')).toBe('before\n');
});
