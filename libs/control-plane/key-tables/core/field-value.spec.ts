import { expect, test } from 'vitest';
import { plainValue, rfc3339 } from './field-value.ts';

test.each([
  ['2027-01-31', '2027-01-31T00:00:00.000Z'],
  ['2027-01-31 10:20:30', '2027-01-31T10:20:30.000Z'],
  ['2027-01-31 10:20:30.123456', '2027-01-31T10:20:30.123Z'],
  ['2027-01-31T10:20:30Z', '2027-01-31T10:20:30.000Z'],
  ['2027-01-31 10:20', '2027-01-31T10:20:00.000Z'],
  ['2027-01-31 10:20:30+05:30', '2027-01-31T04:50:30.000Z'],
  ['2027-01-31 10:20:30-08', '2027-01-31T18:20:30.000Z'],
  ['infinity', '9999-12-31T23:59:59.999Z'],
  ['-infinity', '0001-01-01T00:00:00.000Z'],
  ['0000-00-00', null],
  ['0000-00-00 00:00:00.000', null],
  ['2027-13-01', '2027-13-01'],
  ['31.01.2027 10:20:30', '31.01.2027 10:20:30'],
  ['0044-03-15 00:00:00 BC', '0044-03-15 00:00:00 BC'],
  ['soon', 'soon'],
  ['', ''],
])('%j of a database is %j to the gateway', (text, expected) => {
  expect(rfc3339(text)).toBe(expected);
});

test.each([
  [0n, 0],
  [9_007_199_254_740_991n, 9_007_199_254_740_991],
  [9_007_199_254_740_993n, '9007199254740993'],
  [Number.NaN, 'NaN'],
  [Number.POSITIVE_INFINITY, 'Infinity'],
  [1.5, 1.5],
  [Buffer.from('sk-é'), 'sk-é'],
  [undefined, null],
  [false, false],
  [
    [1n, [new Date(0)]],
    [1, ['1970-01-01T00:00:00.000Z']],
  ],
  [{ requests_per_minute: 5 }, { requests_per_minute: 5 }],
])('no limit is lost on the way (%#)', (value, expected) => {
  expect(plainValue(value)).toEqual(expected);
});
