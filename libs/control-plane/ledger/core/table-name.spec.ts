import { expect, test } from 'vitest';
import { checkedTableName, indexName } from './table-name.ts';

test.each(['usage; drop table x', '', '1st', 'a'.repeat(64), 'a.b', 'a"b'])(
  '%j is refused as a table name',
  (name) => {
    expect(() => checkedTableName(name)).toThrow(/is no table name/);
  },
);

test('the indexes of two tables never share a name, however long and alike the tables are called', () => {
  const [one, other] = [`${'a'.repeat(62)}1`, `${'a'.repeat(62)}2`];
  expect(indexName('idx', 'usage_records', 'api_key')).toBe('idx_usage_records_api_key');
  expect(indexName('idx', one, 'api_key')).not.toBe(indexName('idx', other, 'api_key'));
  expect(indexName('idx', one, 'timestamp')).toHaveLength(63);
});
