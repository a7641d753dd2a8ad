/** Writes the JSON schema and the reference page; `--check` only compares, and exits 1 when one is out of date. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { editorSchema } from './core/editor-schema.ts';
import { schemaOf } from './core/known-keys.ts';
import { renderReference } from './core/render-reference.ts';
import { ConfigFile } from './core/schema/config-file.ts';

/** What should stand in each generated file, by its path from the root of the repository. */
export async function generatedFiles(): Promise<Map<string, string>> {
  const schema = schemaOf(ConfigFile);
  const texts = new Map([
    ['libs/shared/config/config.schema.json', JSON.stringify(editorSchema(schema))],
    ['docs/reference/configuration.md', renderReference(schema)],
  ]);
  for (const [file, text] of texts) texts.set(file, await formatted(file, text));
  return texts;
}

/** As `prettier --write` would leave it, so that formatting the tree never makes a diff. */
async function formatted(file: string, text: string): Promise<string> {
  return format(text, { ...(await resolveConfig(pathOf(file))), filepath: pathOf(file) });
}

const pathOf = (file: string): string => fileURLToPath(new URL(`../../../${file}`, import.meta.url));

/** The generated files whose text is not what it should be. */
export async function outdatedFiles(): Promise<string[]> {
  const files = await generatedFiles();
  return [...files].filter(([file, text]) => textOf(file) !== text).map(([file]) => file);
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(pathOf(file), 'utf8');
  } catch {
    return undefined;
  }
}

async function main(check: boolean): Promise<void> {
  if (check) {
    const outdated = await outdatedFiles();
    for (const file of outdated) console.error(`${file} is out of date: run npm run generate`);
    process.exitCode = outdated.length > 0 ? 1 : 0;
    return;
  }
  for (const [file, text] of await generatedFiles()) {
    writeFileSync(pathOf(file), text);
    console.log(`wrote ${file}`);
  }
}

if (import.meta.main) await main(process.argv.includes('--check'));
