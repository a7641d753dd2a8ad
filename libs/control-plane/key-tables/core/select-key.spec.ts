import { expect, test } from 'vitest';
import { selectKey, type Dialect, type KeyTable } from './select-key.ts';

const dialect: Dialect = {
  quote: '"',
  placeholder: (n) => `$${n}`,
  exactly: (column) => `exact(${column})`,
  exactParameter: (placeholder) => placeholder,
  select: () => 'select',
};
const keys = (over: Partial<KeyTable> = {}): KeyTable => ({
  table: 'keys',
  keyColumn: 'api_key',
  fields: [],
  keyHash: 'none',
  ...over,
});

test('names are quoted, and the key is a parameter', () => {
  expect(selectKey(keys({ table: 'billing.Keys', fields: ['name', 'status'] }), dialect, 5)).toBe(
    'select "name", "status" from "billing"."Keys" where "api_key" = $1 and exact("api_key") = $2 limit 2',
  );
});

test.each([
  { table: 'keys; drop table keys' },
  { table: 'a.b.c' },
  { table: 'keys"' },
  { table: '' },
  { table: '.keys' },
  { keyColumn: '1 = 1 or api_key' },
  { keyColumn: 'k`' },
  { keyColumn: 'k'.repeat(65) },
  { fields: ['name', '*'] },
  { fields: ['(select 1)'] },
])('%j is refused rather than put into a query', (over) => {
  expect(() => selectKey(keys(over), dialect, 5)).toThrow(/is no usable name|is neither a table/);
});
