/** What a failed attempt means. */
import { GatewayError } from '@llmproxy/errors';

const connectPhase = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

const codeOf = (cause: unknown): string =>
  typeof cause === 'object' && cause !== null && 'code' in cause && typeof cause.code === 'string'
    ? cause.code
    : '';

/**
 * True when the attempt failed before a byte of the request left: no connection was made. Only then may another
 * backend be tried without asking: a generation that was perhaps started is paid for, and must not be started twice.
 */
export function nothingWasSent(cause: unknown): boolean {
  if (cause instanceof AggregateError) return cause.errors.every(nothingWasSent);
  return connectPhase.has(codeOf(cause));
}

/** The client's error for an attempt that gave no answer. */
export function backendError(cause: unknown, backendName: string): GatewayError {
  const code = codeOf(cause);
  if (code === 'UND_ERR_CONNECT_TIMEOUT') {
    return new GatewayError(
      'backend_timeout',
      `Backend ${backendName} did not accept a connection in time.`,
      { cause },
    );
  }
  if (code === 'UND_ERR_HEADERS_TIMEOUT') {
    return new GatewayError('backend_timeout', `Backend ${backendName} did not answer in time.`, { cause });
  }
  if (code === 'UND_ERR_BODY_TIMEOUT') {
    return new GatewayError(
      'backend_timeout',
      `Backend ${backendName} fell silent in the middle of its answer.`,
      { cause },
    );
  }
  if (nothingWasSent(cause)) {
    return new GatewayError('backend_unreachable', `Backend ${backendName} could not be reached.`, { cause });
  }
  return new GatewayError('backend_unreachable', `Backend ${backendName} broke off its answer.`, { cause });
}
