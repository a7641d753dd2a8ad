import { expect, test } from 'vitest';
import { losesMysqlConnection } from './mysql-failures.ts';

const answer = (errno: number, sqlState = 'HY000') => ({ errno, sqlState });

test.each([
  ['a write to a server that takes none any more', answer(1290), true],
  ['the server shuts down', answer(1053, '08S01'), true],
  ['a statement was prepared with another server', answer(1243), true],
  ['the server cannot prepare a statement of this connection anew', answer(1615), true],
  ['the server prepares no more statements', answer(1461, '42000'), true],
  ['the connection broke', Object.assign(new Error('write EPIPE'), { code: 'EPIPE', fatal: true }), true],
  ['no answer in time', Object.assign(new Error('inactivity'), { code: 'PROTOCOL_SEQUENCE_TIMEOUT' }), true],
  ['a value was refused', answer(1264, '22003'), false],
  ['a write in a transaction that is read-only', answer(1792, '25006'), false],
  ['a right is missing', answer(1142, '42000'), false],
  ['a lock was waited for too long', answer(1205), false],
  ['a deadlock', answer(1213, '40001'), false],
])('%s', (_, cause, lost) => expect(losesMysqlConnection(cause)).toBe(lost));
