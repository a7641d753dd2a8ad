import { errorTable, type ErrorCode, type ErrorRow } from './error-table.ts';

interface GatewayErrorOptions {
  cause?: unknown;
  /** Further response headers, lower-case names: `allow`, `retry-after`, … */
  headers?: Readonly<Record<string, string>>;
}

/** A refusal or failure with a public message; `cause` is for the log alone. */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, messageForClient: string, options: GatewayErrorOptions = {}) {
    super(messageForClient, { cause: options.cause });
    this.name = 'GatewayError';
    this.code = code;
    this.headers = options.headers ?? {};
  }

  get row(): ErrorRow {
    return errorTable[this.code];
  }
}

/** Anything thrown that is not ours is our bug: the client learns no more than that. */
export function toGatewayError(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  return new GatewayError('internal_error', 'The gateway failed to handle this request.', { cause: thrown });
}
