import type { Dialect } from './error-table.ts';
import type { GatewayError } from './gateway-error.ts';

export interface RenderedError {
  status: number;
  headers: string[];
  body: string;
}

/** The error as a whole answer, in the dialect of the path. */
export function renderError(error: GatewayError, dialect: Dialect, requestId: string): RenderedError {
  const body = errorBody(error, dialect, requestId);
  const headers = ['content-type', 'application/json; charset=utf-8', 'x-request-id', requestId];
  if (dialect === 'anthropic') headers.push('request-id', requestId);
  for (const [name, value] of Object.entries(error.headers)) headers.push(name, value);
  headers.push('content-length', String(Buffer.byteLength(body)));
  return { status: error.statusIn(dialect), headers, body };
}

/** The error as an event inside a stream whose status is already sent. */
export function renderStreamError(error: GatewayError, dialect: Dialect, requestId: string): string {
  const data = errorBody(error, dialect, requestId);
  return dialect === 'anthropic' ? `event: error\ndata: ${data}\n\n` : `data: ${data}\n\n`;
}

function errorBody(error: GatewayError, dialect: Dialect, requestId: string): string {
  const { row, message, code } = error;
  if (dialect === 'anthropic') {
    return JSON.stringify({ type: 'error', error: { type: row.anthropic, message }, request_id: requestId });
  }
  return JSON.stringify({ error: { message, type: row.openai, param: null, code } });
}
