/** What a failed attempt means. */
import { GatewayError } from '@llmproxy/errors';

/** What an attempt fails with that ended before the first byte of the request left. */
export class NothingSent extends Error {
  constructor(cause: unknown) {
    super('the request was not sent', { cause });
    this.name = 'NothingSent';
  }
}

/**
 * True when the attempt failed before a byte of the request left: there was no connection, or none that was trusted.
 * Only then may another backend be tried without asking: a generation that was perhaps started is paid for, and must
 * not be started twice.
 */
export function nothingWasSent(failure: unknown): boolean {
  return failure instanceof NothingSent;
}

/** The client's error for an attempt that gave no answer, or half of one. */
export function backendError(failure: unknown, backendName: string): GatewayError {
  const cause = nothingWasSent(failure) ? (failure as NothingSent).cause : failure;
  const code = codeOf(cause);
  const timedOut = timeouts[code];
  if (timedOut) return new GatewayError('backend_timeout', `Backend ${backendName} ${timedOut}.`, { cause });
  const what = nothingWasSent(failure) ? `could not be reached${whyNot(code)}` : 'broke off its answer';
  return new GatewayError('backend_unreachable', `Backend ${backendName} ${what}.`, { cause });
}

const timeouts: Readonly<Record<string, string>> = {
  BACKEND_CONNECT_TIMEOUT: 'did not accept a connection in time',
  BACKEND_HEAD_TIMEOUT: 'did not answer in time',
  BACKEND_SILENT: 'fell silent in the middle of its answer',
};

// Codes of Node's certificate checks, and of OpenSSL's handshake.
const certificateCodes =
  /^(?:ERR_TLS_CERT_|CERT_|CRL_|UNABLE_TO_|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH)|SELF_SIGNED_CERT/;

function whyNot(code: string): string {
  if (certificateCodes.test(code)) return ': its TLS certificate is not trusted';
  return code.startsWith('ERR_SSL_') ? ': it does not speak TLS as we do' : '';
}

const codeOf = (cause: unknown): string =>
  typeof cause === 'object' && cause !== null && 'code' in cause && typeof cause.code === 'string'
    ? cause.code
    : '';
