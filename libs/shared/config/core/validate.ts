/** Holds a YAML file against a schema; every mistake becomes a problem with a place and words for its author. */
import type { z } from 'zod';
import { schemaAt, schemaOf, settingsOf } from './known-keys.ts';
import type { SchemaNode } from './known-keys.ts';
import { nearest } from './nearest.ts';
import { findNotBuilt, notBuiltMessage } from './not-built.ts';
import { renderPath } from './problem.ts';
import type { Problem } from './problem.ts';
import type { Path, YamlFile } from './read-yaml.ts';

type Issue = z.core.$ZodIssue;

/**
 * @returns the parsed value, or as much of each top-level block as is right on its own, so that what follows can look
 *   for problems between blocks; and the problems
 */
export function validate<S extends z.ZodObject>(
  yaml: YamlFile,
  schema: S,
): { value: Partial<z.output<S>>; problems: Problem[] } {
  let result = parse(schema, yaml.data());
  if (!result.success && result.error.issues.filter((issue) => yaml.readAsScalar(issue.path)).length > 0) {
    result = parse(schema, yaml.data());
  }
  if (result.success) return { value: result.data as Partial<z.output<S>>, problems: [] };
  const data = yaml.data();
  const issues = result.error.issues.filter((issue) => !yaml.unexpanded(issue.path));
  const json = schemaOf(schema);
  const problems = issues.flatMap((issue) => problemsOf(yaml, issue, { data, json }));
  return { value: rightBlocks(schema, data) as Partial<z.output<S>>, problems };
}

const parse = (schema: z.ZodType, data: unknown) =>
  schema.safeParse(data, { error: (issue) => explain(issue) });

function rightBlocks(schema: z.ZodObject, data: unknown): Record<string, unknown> {
  const blocks: Record<string, unknown> = {};
  if (typeof data !== 'object' || data === null) return blocks;
  for (const [key, block] of Object.entries(schema.shape)) {
    const result = (block as z.ZodType).safeParse((data as Record<string, unknown>)[key]);
    if (result.success) blocks[key] = result.data;
  }
  return blocks;
}

interface Context {
  readonly data: unknown;
  readonly json: SchemaNode;
}

function problemsOf(yaml: YamlFile, issue: Issue, { data, json }: Context): Problem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => unknownKey(yaml, [...issue.path, key], { data, json }));
  }
  const value = valueAt(data, issue.path);
  const entry = findNotBuilt(issue.path, value);
  const message = entry === undefined ? issue.message : notBuiltMessage(entry);
  const problem = yaml.problem(issue.path, message, issue.code === 'invalid_key' ? 'key' : 'value');
  const named = schemaAt(json, issue.path) !== undefined || isName(String(issue.path.at(-1)), value);
  return [named ? problem : { ...problem, path: renderPath(issue.path.slice(0, -1)) }];
}

const valueAt = (data: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (value, key) => (typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined),
    data,
  );

function unknownKey(yaml: YamlFile, path: Path, { data, json }: Context): Problem {
  const entry = findNotBuilt(path, undefined);
  if (entry !== undefined) return yaml.problem(path, notBuiltMessage(entry), 'key');
  const meant = meantKey(path, json);
  const message =
    meant === undefined ? 'unknown key' : `unknown key${meant.where}; did you mean ${meant.path}?`;
  const problem = yaml.problem(path, message, 'key');
  const named = meant !== undefined || isName(String(path.at(-1)), valueAt(data, path));
  return named ? problem : { ...problem, path: renderPath(path.slice(0, -1)) };
}

/**
 * Whether a key that the schema does not know may be repeated: it looks like a name, and has a value. A password or
 * API key that slipped into the place of a name, such as the bare word in `{ key, secret }`, is not repeated.
 */
const isName = (key: string, value: unknown): boolean =>
  value !== null && /^[a-z]+([_-][a-z]+)*$/i.test(key) && key.length <= 40 && !/^[sp]k[-_]/i.test(key);

function meantKey(path: Path, json: SchemaNode): { path: string; where: string } | undefined {
  const key = String(path.at(-1));
  const block = path.slice(0, -1);
  const close = nearest(key, Object.keys(schemaAt(json, block)?.properties ?? {}));
  if (close !== undefined) return { path: renderPath([...block, close]), where: '' };
  const [only, ...others] = settingsOf(json).filter(([known]) => known.endsWith(`.${key}`));
  return only === undefined || others.length > 0 ? undefined : { path: only[0], where: ' here' };
}

const kinds: Readonly<Record<string, string>> = {
  object: 'a block of settings',
  record: 'a block of settings',
  array: 'a list',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
};

function kindOf(input: unknown): string {
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'number') return 'a number';
  if (typeof input === 'boolean') return 'true or false';
  return typeof input === 'string' ? 'text' : 'a block of settings';
}

/** The words for an issue that the schema itself has no words for. */
function explain(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.input === undefined) return 'is required';
  if (issue.input === null) return 'is empty: give it a value or remove the line';
  switch (issue.code) {
    case 'invalid_type':
      return wrongType(String(issue.expected), issue.input);
    case 'invalid_value':
      return oneOf(issue.values.map(String), issue.input);
    case 'too_small':
      return bound('at least', issue.origin, Number(issue.minimum));
    case 'too_big':
      return bound('at most', issue.origin, Number(issue.maximum));
    case 'invalid_key':
      return issue.issues[0]?.message;
    default:
      return undefined;
  }
}

function wrongType(expected: string, input: unknown): string {
  const got = kindOf(input);
  const hint = expected === 'string' && typeof input !== 'object' ? ': put it in quotes' : '';
  const wanted = kinds[expected] ?? expected;
  return wanted === got ? `expected ${wanted}` : `expected ${wanted}, got ${got}${hint}`;
}

function oneOf(values: readonly string[], input: unknown): string {
  const close = typeof input === 'string' ? nearest(input, values) : undefined;
  const list = values.length === 1 ? `expected ${values.join()}` : `expected one of ${values.join(', ')}`;
  return close === undefined ? list : `${list}; did you mean ${close}?`;
}

function bound(limit: string, origin: string, value: number): string {
  if (origin === 'string') return `needs ${limit} ${value} ${value === 1 ? 'character' : 'characters'}`;
  if (origin === 'array') return `needs ${limit} ${value} ${value === 1 ? 'entry' : 'entries'}`;
  return `must be ${limit} ${value}`;
}
