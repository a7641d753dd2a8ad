/** What the schema knows, read from its JSON schema: the settings of a block, and where a setting lives. */
import { z } from 'zod';

/** The part of JSON schema that our schemas produce. */
export interface SchemaNode {
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly deprecated?: boolean;
  readonly type?: string;
  readonly pattern?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly SchemaNode[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly required?: readonly string[];
  readonly items?: SchemaNode;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** The schema of what a user writes, before defaults and conversions. */
export function schemaOf(schema: z.ZodType): SchemaNode {
  return z.toJSONSchema(schema, { io: 'input', target: 'draft-2020-12' }) as SchemaNode;
}

/** The part of a schema at a path, through lists. */
export function schemaAt(root: SchemaNode, path: readonly PropertyKey[]): SchemaNode | undefined {
  return path.reduce<SchemaNode | undefined>(
    (node, key) => (typeof key === 'number' ? node?.items : node?.properties?.[String(key)]),
    root,
  );
}

/** Every setting of a schema as a dotted path, `backends[].url`, with its schema; blocks before what they hold. */
export function settingsOf(node: SchemaNode, prefix = ''): [string, SchemaNode][] {
  return Object.entries(node.properties ?? {}).flatMap(([key, child]) => {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    const below = child.items === undefined ? settingsOf(child, path) : settingsOf(child.items, `${path}[]`);
    return [[path, child] as [string, SchemaNode], ...below];
  });
}
