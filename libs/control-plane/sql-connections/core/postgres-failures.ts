/** What an error of PostgreSQL, or of a pooler before it, says about the connection it came over. */
import { errorField } from './error-field.ts';

const readOnly = '25006';
const idleInTransaction = '25P03';
const connectionException = '08';
const operatorIntervention = '57P';

/**
 * True when the connection must not be used again: it is broken, still busy with what was asked, or leads to a server
 * that is going away or takes no writes any more, while behind the same address there may be another by now.
 */
export function losesConnection(cause: unknown): boolean {
  const state = sqlState(cause);
  if (state === undefined) return true; // no answer of a server
  return (
    state === readOnly ||
    state === idleInTransaction ||
    state.startsWith(connectionException) ||
    state.startsWith(operatorIntervention)
  );
}

/** PgBouncer ends a connection that begins a transaction where each statement may go to another server connection. */
export function isStatementPooling(cause: unknown): boolean {
  return sqlState(cause) === '08P01' && /statement pooling/i.test(String(errorField(cause, 'message')));
}

/** Node's own codes may have five letters too (EPIPE): only an answer of a server has a severity. */
function sqlState(cause: unknown): string | undefined {
  const code = errorField(cause, 'code');
  return typeof code === 'string' && errorField(cause, 'severity') !== undefined ? code : undefined;
}
