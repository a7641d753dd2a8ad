import { expect, test } from 'vitest';
import { sqlAddress } from './sql-address.ts';

test.each([
  ['mysql', { dsn: 'mysql://u:p@db:3307/usage', port: 3306 }, 'mysql://u:p@db:3307/usage'],
  [
    'postgres',
    { host: 'db', port: 5432, user: 'u', password: 'p/w@:', database: 'usage' },
    'postgres://u:p%2Fw%40%3A@db:5432/usage',
  ],
  ['postgres', { port: 5433, user: 'u', database: 'usage' }, 'postgres://u@127.0.0.1:5433/usage'],
  ['mysql', { host: '::1', port: 3306, database: 'usage' }, 'mysql://[::1]:3306/usage'],
] as const)('%s %j leads to %s', (driver, parts, address) => {
  expect(sqlAddress(driver, parts)).toBe(address);
});
