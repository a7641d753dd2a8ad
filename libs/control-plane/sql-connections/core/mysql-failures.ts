/** What an error of MySQL or MariaDB, or of the driver, says about the connection it came over. */
import { errorField } from './error-field.ts';

const connectionException = '08';
/** --read-only, read-only mode, shutdown, killed, idle for too long. */
const goingAway = [1290, 1836, 1053, 1927, 4031];
/** Statements that the server does not know, as behind a proxy that went to another; cannot prepare anew; has too many of. */
const preparedInVain = [1243, 1615, 1461];
const lost = new Set<unknown>([...goingAway, ...preparedInVain]);

/**
 * True when the connection must not be used again: it is broken, still busy with what was asked, or leads to a server that
 * is going away, takes no writes any more or does not have our statements, while behind the same address there may be another.
 */
export function losesMysqlConnection(cause: unknown): boolean {
  const state = errorField(cause, 'sqlState');
  if (typeof state !== 'string') return true; // no answer of a server
  return (
    errorField(cause, 'fatal') === true ||
    state.startsWith(connectionException) ||
    lost.has(errorField(cause, 'errno'))
  );
}

const hangUps = new Set<unknown>(['EPIPE', 'ECONNRESET', 'PROTOCOL_CONNECTION_LOST']);

/** True when the other end hung up without a word, or its word was lost because we were still writing. */
export const isMysqlHangUp = (cause: unknown): boolean =>
  errorField(cause, 'fatal') === true && hangUps.has(errorField(cause, 'code'));
