import { expect, test } from 'vitest';
import { isStatementPooling, losesConnection } from './postgres-failures.ts';

const answer = (code: string, message = '') => ({ severity: 'ERROR', code, message });

test.each([
  ['a write to a server that takes none any more', answer('25006'), true],
  ['the server shuts down', answer('57P01'), true],
  ['the server starts up', answer('57P03'), true],
  ['a pooler lost its server', answer('08P01'), true],
  ['a transaction was idle for too long', answer('25P03'), true],
  ['the connection broke', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }), true],
  ['no answer in time', new Error('Query read timeout'), true],
  ['a value was refused', answer('22001'), false],
  ['the table is not there', answer('42P01'), false],
  ['a right is missing', answer('42501'), false],
  ['the statement was cancelled', answer('57014'), false],
  ['a deadlock', answer('40P01'), false],
])('%s', (_, cause, lost) => expect(losesConnection(cause)).toBe(lost));

test('the words of PgBouncer in statement pooling are told from its other refusals', () => {
  const words = 'transaction blocks not allowed in statement pooling mode';
  expect(isStatementPooling(answer('08P01', words))).toBe(true);
  expect(isStatementPooling(answer('08P01', 'server conn crashed?'))).toBe(false);
});
