import { errorTable, type Dialect, type ErrorCode, type ErrorRow } from './error-table.ts';

/** The caller of a request that was refused after its key was known. */
export interface Subject {
  readonly keyId: string | null;
  readonly maskedKey: string | null;
  readonly userId: string | null;
  readonly ip: string;
}

interface GatewayErrorOptions {
  cause?: unknown;
  /** Further response headers, lower-case names: `allow`, `retry-after`, … */
  headers?: Readonly<Record<string, string>>;
  /** Whom it concerns, for the access log: no secret. */
  about?: Subject;
  /** Instead of the table's: an operator may choose the status of a refused key. 400 to 599. */
  status?: number;
}

/** A refusal or failure with a public message; `cause` is for the log alone. */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly headers: Readonly<Record<string, string>>;
  readonly about: Subject | undefined;
  readonly #status: number | undefined;

  constructor(code: ErrorCode, messageForClient: string, options: GatewayErrorOptions = {}) {
    super(messageForClient, { cause: options.cause });
    this.name = 'GatewayError';
    this.code = code;
    this.headers = options.headers ?? {};
    this.about = options.about;
    this.#status = options.status;
  }

  /** The HTTP status in this dialect. */
  statusIn(dialect: Dialect): number {
    if (this.#status !== undefined) return this.#status;
    return dialect === 'anthropic' ? (this.row.anthropicStatus ?? this.row.status) : this.row.status;
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
