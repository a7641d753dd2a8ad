import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { z } from 'zod';
import { examples } from './core/examples.ts';
import { readYaml } from './core/read-yaml.ts';
import { KeyFile } from './core/schema/keys.ts';
import { ConfigFile } from './core/schema/config-file.ts';
import { schemaOf, settingsOf } from './core/known-keys.ts';
import { notBuilt } from './core/not-built.ts';
import { checkAuth } from './core/check-auth.ts';
import { checkLimits } from './core/check-limits.ts';
import { checkLinks } from './core/check-links.ts';
import { checkStorage } from './core/check-storage.ts';
import { validate } from './core/validate.ts';
import { outdatedFiles } from './generate.ts';

const page = readFileSync(new URL('../../../docs/reference/configuration.md', import.meta.url), 'utf8');
const settings = settingsOf(schemaOf(ConfigFile));

/** Every schema inside a schema, with the setting it belongs to: read from zod itself, not from what we derive. */
function leaves(schema: z.core.$ZodType, path = ''): [string, z.core.$ZodType][] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  const here: [string, z.core.$ZodType] = [path, schema];
  switch (def.type) {
    case 'object':
      return [
        here,
        ...Object.entries(def.shape).flatMap(([key, child]) =>
          leaves(child, path === '' ? key : `${path}.${key}`),
        ),
      ];
    case 'array':
      return [here, ...leaves(def.element, `${path}[]`)];
    case 'default':
    case 'prefault':
    case 'optional':
      return [here, ...leaves(def.innerType, path)];
    case 'pipe':
      return [here, ...leaves(def.in, path)];
    default:
      return [here];
  }
}

test('the generated files are up to date', async () => {
  expect(await outdatedFiles()).toEqual([]);
});

test('every setting says what it is for', () => {
  const silent = [...settings, ...settingsOf(schemaOf(KeyFile))].filter(([, node]) => !node.description);
  expect(silent.map(([path]) => path)).toEqual([]);
});

test('every setting, and every default, stands in the reference', () => {
  const rows = page.split('\n').filter((line) => line.startsWith('| `'));
  const missing = leaves(ConfigFile).filter(([path, schema]) => {
    const { def } = (schema as z.core.$ZodTypes)._zod;
    const known = settings.find(([setting]) => setting === path)?.[1];
    if ((def.type !== 'default' && def.type !== 'prefault') || known?.type === 'object') return false;
    const written =
      typeof def.defaultValue === 'string' ? def.defaultValue : JSON.stringify(def.defaultValue);
    const key = path.replace(/^\w+(\[\])?\./, '');
    if (path === 'api_keys') return !page.includes('### `api_keys`\n\nList, by default empty.');
    return !rows.some(
      (row) => row.startsWith(`| \`${key}\``) && row.replaceAll(', ', ',').includes(`\`${written}\``),
    );
  });
  expect(missing.map(([path]) => path)).toEqual([]);
  for (const [path] of settings) {
    const key = path.replace(/^\w+(\[\])?\./, '');
    expect(page.includes(`\`${key}\``), path).toBe(true);
  }
});

test('every setting that is documented but not built stands in the reference', () => {
  expect(
    notBuilt.map(({ path }) => `\`${path.replaceAll('.*', '[]')}\``).filter((path) => !page.includes(path)),
  ).toEqual([]);
});

test('the examples of the reference are one valid config', () => {
  const yaml = readYaml('examples.yaml', Object.values(examples).join('\n'), {});
  const { value, problems } = validate(yaml, ConfigFile);
  const links = [checkLinks(value), checkStorage(value), checkAuth(value, true), checkLimits(value)].flat();
  expect([...yaml.problems, ...problems, ...links]).toEqual([]);
  const blocks = settings.filter(
    ([path, node]) => /^\w+$/.test(path) && (node.properties ?? node.items) !== undefined,
  );
  expect(Object.keys(examples)).toEqual(blocks.map(([path]) => path));
});
