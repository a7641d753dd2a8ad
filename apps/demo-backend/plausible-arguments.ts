/** The part of JSON Schema that tools use for their parameters. */
export interface JsonSchema {
  type?: unknown;
  enum?: unknown;
  default?: unknown;
  properties?: unknown;
  items?: unknown;
}

const depthMax = 8;

/** A value that fits the schema, with the place that the question names, if any, as its text: "… in Paris" → "Paris". */
export function plausibleArguments(schema: JsonSchema, question: string): unknown {
  const place = /\b(?:in|at|for|of)\s+(\p{Lu}[\p{L}'-]*(?:\s\p{Lu}[\p{L}'-]*)*)/u.exec(question)?.[1];
  return valueFor({ type: 'object', ...schema }, place ?? 'Berlin', 0);
}

type Maker = (schema: JsonSchema, text: string, depth: number) => unknown;

const makers: Readonly<Record<string, Maker>> = {
  object: ({ properties }, text, depth) => objectFor(properties, text, depth),
  array: ({ items }, text, depth) =>
    isSchema(items) && depth < depthMax ? [valueFor(items, text, depth + 1)] : [],
  number: () => 1,
  integer: () => 1,
  boolean: () => true,
  null: () => null,
};

function valueFor(schema: JsonSchema, text: string, depth: number): unknown {
  if (schema.default !== undefined) return schema.default;
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return schema.enum[0] as unknown;
  const type: unknown = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  const make = typeof type === 'string' && Object.hasOwn(makers, type) ? makers[type] : undefined;
  return make ? make(schema, text, depth) : text;
}

function objectFor(properties: unknown, text: string, depth: number): object {
  if (typeof properties !== 'object' || properties === null || depth >= depthMax) return {};
  const fields = Object.entries(properties).map(([name, of]: [string, unknown]) => [
    name,
    valueFor(isSchema(of) ? of : {}, text, depth + 1),
  ]);
  return Object.fromEntries(fields) as object;
}

const isSchema = (value: unknown): value is JsonSchema => typeof value === 'object' && value !== null;
