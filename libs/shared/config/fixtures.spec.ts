import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { checkConfig, ConfigError, loadConfig } from './index.ts';

const folder = fileURLToPath(new URL('../../../test/fixtures/config', import.meta.url));
const filesIn = (kind: string): string[] =>
  readdirSync(`${folder}/${kind}`).filter((file) => file.endsWith('.yaml'));

/** The comments a file begins with: what must be said about it, all of it and nothing else. */
function expectedProblems(path: string): string[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  const end = lines.findIndex((line) => !line.startsWith('# '));
  return lines.slice(0, end).map((line) => `${path}:${line.slice(2)}`);
}

test.each(filesIn('bad'))('%s is refused with the words of its first lines', (file) => {
  const path = `${folder}/bad/${file}`;
  try {
    loadConfig(path, {});
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    expect(String((error as ConfigError).message).split('\n')).toEqual(expectedProblems(path));
    return;
  }
  expect.unreachable('the file was accepted');
});

test.each(filesIn('good'))('%s is accepted', (file) => {
  const { ok, text } = checkConfig(`${folder}/good/${file}`, {});
  expect({ ok, text }).toMatchObject({ ok: true });
});

test('a refusal never repeats a value', () => {
  for (const file of filesIn('bad')) {
    const { text } = checkConfig(`${folder}/bad/${file}`, {});
    expect(text.replaceAll(folder, '')).not.toContain('canary');
  }
});
