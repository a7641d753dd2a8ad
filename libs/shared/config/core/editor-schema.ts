/** The JSON schema for editors: what a user may write, `${ENV}` in place of any single value included. */
import type { SchemaNode } from './known-keys.ts';

const variable = { type: 'string', pattern: String.raw`\$\{` };

/** @param root the schema of a config file as it is written, from `schemaOf` */
export function editorSchema(root: SchemaNode): object {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    ...(withVariables(root) as object),
    title: 'LLMProxy configuration',
  };
}

function withVariables(node: SchemaNode): unknown {
  const { title, description, default: byDefault, deprecated, ...rules } = node;
  const notes = { title, description, default: byDefault, deprecated };
  if (node.properties !== undefined) {
    const properties = Object.entries(node.properties).map(([key, child]) => [key, withVariables(child)]);
    return { ...notes, ...rules, properties: Object.fromEntries(properties) as unknown };
  }
  if (node.items !== undefined) return { ...notes, ...rules, items: withVariables(node.items) };
  if (node.type === 'object') return { ...notes, ...rules };
  // Text without further rules already admits a variable.
  if (node.type === 'string' && node.pattern === undefined && node.enum === undefined)
    return { ...notes, ...rules };
  return { ...notes, anyOf: [...(node.anyOf ?? [rules]), variable] };
}
