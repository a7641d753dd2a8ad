import { expect, test } from 'vitest';
import { sqlAddress } from './sql-address.ts';

test.each([
  ['mysql', { dsn: 'mysql://u:p@db:3307/usage' }, 'mysql://u:p@db:3307/usage'],
  [
    'mysql',
    { dsn: 'u:p@ss:w@tcp(db:3307)/usage?charset=utf8mb4&parseTime=True' },
    'mysql://u:p%40ss%3Aw@db:3307/usage',
  ],
  ['mysql', { dsn: 'u@tcp(db)/usage' }, 'mysql://u@db:3306/usage'],
  [
    'mysql',
    { dsn: 'u:p@unix(/run/mysqld.sock)/usage' },
    'mysql://u:p@localhost:3306/usage?socketPath=%2Frun%2Fmysqld.sock',
  ],
  ['postgres', { dsn: 'postgresql://u:p@db/usage' }, 'postgresql://u:p@db/usage'],
  [
    'postgres',
    { dsn: "host=db port=5433 user=u password='p w' dbname=usage sslmode=disable" },
    'postgres://u:p%20w@db:5433/usage?sslmode=disable',
  ],
  [
    'postgres',
    { host: 'db', user: 'u', password: 'p/w', database: 'usage' },
    'postgres://u:p%2Fw@db:5432/usage',
  ],
  ['mysql', { host: '::1', database: 'usage' }, 'mysql://[::1]:3306/usage'],
] as const)('%s %j leads to %s', (driver, parts, address) => {
  expect(sqlAddress(driver, parts)).toBe(address);
});

test('a dsn in no known spelling is refused without printing its password', () => {
  expect(() => sqlAddress('postgres', { dsn: 'secret-password' })).toThrow(
    /^(?!.*secret-password).*neither/s,
  );
});
