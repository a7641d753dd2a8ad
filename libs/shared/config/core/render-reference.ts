/** The reference page of the configuration, made from the schema. */
import { examples } from './examples.ts';
import { settingsOf } from './known-keys.ts';
import type { SchemaNode } from './known-keys.ts';
import { notBuilt } from './not-built.ts';
import type { NotBuilt } from './not-built.ts';

const introduction = `# Configuration

<!-- Made by \`npm run generate\` from libs/shared/config. Edits to this page are lost. -->

One YAML file. The least it needs is one backend:

\`\`\`yaml
backends:
  - url: http://localhost:11434
\`\`\`

\`npm exec llmproxy -- check -c config.yaml\` tells whether a file is right, and exits 0 or 1. Editors that know JSON schema check while you type
if the file begins with \`# yaml-language-server: $schema=<path to>/libs/shared/config/config.schema.json\`.

## Rules that hold everywhere

- **Nothing is ignored.** An unknown key, a value of the wrong type, a key that is set twice and a setting that would have no effect are
  errors; so is a setting that is documented for LLMProxy but [not built in this version](#documented-but-not-built).
- **Nothing is silently off.** A block is on as soon as it is written down: every \`enabled\` defaults to \`true\`. What happens without
  the block is said below for each.
- **Durations** are written as in Go, \`500ms\`, \`30s\`, \`1h30m\`, and need their unit; a bare number is an error. The loaded config holds
  milliseconds. The longest is \`576h\`.
- **Sizes** are bytes as a number, or text such as \`512KB\` or \`10MB\`, where 1KB is 1024 bytes.
- **Files** named in the config are relative to the folder of the config. \`data_dir\` is relative to the folder the gateway is started in.
- **A header name** matches in any case.

## Environment variables

\`\${NAME}\` inside any value is replaced by the environment variable, \`\${NAME:-default}\` by the default if the variable is unset or empty.
An unset variable without a default is an error. \`$$\` stands for one \`$\`. What was put in is text, and is not expanded again; where a
number, \`true\` or \`false\` is wanted, text that reads like one is taken as one: \`workers: \${WORKERS:-4}\`. Names of settings and comments are
not expanded. Inside \`{ … }\` and \`[ … ]\` on one line, YAML wants such a value in quotes: \`{ value: '\${KEY}' }\`.

## Errors

Mistakes are told together, each with its place. What a block with a wrong value has to do with other blocks and with files is checked
once its values are right, so more may follow then:

\`\`\`text
config.yaml:3:5  backends[0].weigth: unknown key; did you mean backends[0].weight?
config.yaml:4:14  backends[0].timeout: a duration needs a unit: write 30s or 500ms, not a bare number
config.yaml:9:1  hooks: documented, but not built in this version (hooks)
\`\`\`

Messages never repeat a value, because it may be a secret on the wrong line.
`;

/** @param root the schema of a config file as it is written, from `schemaOf` */
export function renderReference(root: SchemaNode): string {
  const blocks = Object.entries(root.properties ?? {});
  const single = blocks.filter(([, node]) => !isBlock(node));
  return [
    introduction,
    '## Settings\n',
    table(single.map(([key, node]) => [key, node, isRequired(root, key)])),
    ...blocks.filter(([, node]) => isBlock(node)).map(([key, node]) => block(key, node)),
    notBuiltList(),
  ].join('\n');
}

type Row = readonly [path: string, node: SchemaNode, required: boolean];

const isBlock = (node: SchemaNode): boolean =>
  node.properties !== undefined || node.items?.properties !== undefined;
const isRequired = (parent: SchemaNode | undefined, key: string): boolean =>
  parent?.required?.includes(key) ?? false;

function block(name: string, node: SchemaNode): string {
  const list = node.items !== undefined;
  const entry = list ? (node.items ?? node) : node;
  return [
    `### \`${name}\`\n`,
    `${list ? listNote(node) : ''}${node.description ?? ''}\n`,
    table(rowsOf(entry)),
    `\`\`\`yaml\n${examples[name] ?? ''}\n\`\`\`\n`,
  ].join('\n');
}

const listNote = (node: SchemaNode): string =>
  node.default === undefined ? 'List. ' : 'List, by default empty. ';

function rowsOf(entry: SchemaNode): Row[] {
  return settingsOf(entry).map(([path, node]): Row => {
    const parts = path.split('.');
    const key = parts.at(-1) ?? '';
    return [path, node, isRequired(parentOf(entry, parts), key)];
  });
}

const parentOf = (root: SchemaNode, parts: readonly string[]): SchemaNode | undefined =>
  parts
    .slice(0, -1)
    .reduce<SchemaNode | undefined>(
      (node, part) =>
        part.endsWith('[]') ? node?.properties?.[part.slice(0, -2)]?.items : node?.properties?.[part],
      root,
    );

function table(rows: readonly Row[]): string {
  const cell = (text: string): string => text.replaceAll('|', String.raw`\|`);
  const lines = rows.map(([path, node, required]) =>
    [`\`${path}\``, typeOf(node), required ? 'required' : defaultOf(node), node.description ?? '']
      .map(cell)
      .join(' | '),
  );
  return [
    '| key | type | default | description |',
    '| --- | --- | --- | --- |',
    ...lines.map((line) => `| ${line} |`),
    '',
  ].join('\n');
}

function defaultOf(node: SchemaNode): string {
  if (node.default === undefined || (isBlock(node) && !Array.isArray(node.default))) return '–';
  return `\`${typeof node.default === 'string' ? node.default : JSON.stringify(node.default).replaceAll(',', ', ')}\``;
}

function typeOf(node: SchemaNode): string {
  if (node.title !== undefined) return node.title;
  if (node.enum !== undefined) return node.enum.map((value) => `\`${String(value)}\``).join(' ');
  if (node.type === 'array') return isBlock(node) ? 'list of blocks' : `list of ${typeOf(node.items ?? {})}`;
  const names: Readonly<Record<string, string>> = {
    object: 'block',
    boolean: '`true` `false`',
    integer: `whole number${rangeOf(node)}`,
    number: `number${rangeOf(node)}`,
    string: 'text',
  };
  return names[node.type ?? ''] ?? (node.anyOf ?? []).map(typeOf).join(' or ');
}

function rangeOf({ minimum, maximum }: SchemaNode): string {
  if (minimum === undefined || maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER) return '';
  return `, ${minimum} to ${maximum}`;
}

function notBuiltList(): string {
  const groups = Map.groupBy(notBuilt, ({ what, instead = '' }) => JSON.stringify([what, instead]));
  const lines = [...groups.values()].map((entries) => {
    const [{ what, instead = '' } = { what: '' }] = entries;
    return `| ${what} | ${entries.map(settingOf).join(', ')} | ${instead} |`;
  });
  return `## Documented, but not built

These settings are known from the documentation of LLMProxy. This version cannot honour them and refuses a config
that holds one, so that nobody takes a limit to be in force that is not. Files of \`llmproxy-go\` and \`llm-proxy\` are recognised, and refused as well.

| what | settings | instead |
| --- | --- | --- |
${lines.join('\n')}
`;
}

function settingOf({ path, values }: NotBuilt): string {
  const key = `\`${path.replaceAll('.*', '[]')}\``;
  return values === undefined ? key : `${key} = ${values.map((value) => `\`${value}\``).join(', ')}`;
}
