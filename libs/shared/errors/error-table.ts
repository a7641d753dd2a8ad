/** Every error the gateway itself can answer with. Clients branch on `code`; docs/reference/errors.md lists the same rows. */

/** The API a path speaks; decides the shape of every error under it. */
export type Dialect = 'openai' | 'anthropic';

export interface ErrorRow {
  status: number;
  /** `error.type` in the OpenAI dialect. */
  openai: string;
  /** `error.type` in the Anthropic dialect. */
  anthropic: string;
  /** Who has to act; decides the log level, and only `backend` counts against a backend. */
  blame: 'client' | 'backend' | 'gateway';
  /** Status in the Anthropic dialect where it differs. */
  anthropicStatus?: number;
}

const bad = (status: number): ErrorRow => ({
  status,
  openai: 'invalid_request_error',
  anthropic: 'invalid_request_error',
  blame: 'client',
});

export const errorTable = {
  invalid_json: bad(400),
  invalid_request: bad(400),
  invalid_api_key: {
    status: 401,
    openai: 'authentication_error',
    anthropic: 'authentication_error',
    blame: 'client',
  },
  key_not_active: { status: 403, openai: 'permission_error', anthropic: 'permission_error', blame: 'client' },
  ip_not_allowed: { status: 403, openai: 'permission_error', anthropic: 'permission_error', blame: 'client' },
  model_not_allowed: {
    status: 403,
    openai: 'permission_error',
    anthropic: 'permission_error',
    blame: 'client',
  },
  access_denied: { status: 403, openai: 'permission_error', anthropic: 'permission_error', blame: 'client' },
  unknown_route: { ...bad(404), anthropic: 'not_found_error' },
  model_not_found: { ...bad(404), anthropic: 'not_found_error' },
  method_not_allowed: bad(405),
  request_timeout: { status: 408, openai: 'timeout_error', anthropic: 'timeout_error', blame: 'client' },
  request_too_large: { ...bad(413), anthropic: 'request_too_large' },
  headers_too_large: { ...bad(431), anthropic: 'request_too_large' },
  rate_limit_exceeded: {
    status: 429,
    openai: 'rate_limit_error',
    anthropic: 'rate_limit_error',
    blame: 'client',
  },
  insufficient_quota: {
    status: 429,
    openai: 'insufficient_quota',
    anthropic: 'rate_limit_error',
    blame: 'client',
  },
  client_closed: { status: 499, openai: 'client_closed', anthropic: 'client_closed', blame: 'client' },
  internal_error: { status: 500, openai: 'server_error', anthropic: 'api_error', blame: 'gateway' },
  backend_unreachable: { status: 502, openai: 'upstream_error', anthropic: 'api_error', blame: 'backend' },
  backend_timeout: { status: 504, openai: 'timeout_error', anthropic: 'timeout_error', blame: 'backend' },
  auth_unavailable: {
    status: 503,
    openai: 'server_error',
    anthropic: 'overloaded_error',
    anthropicStatus: 529,
    blame: 'gateway',
  },
  limits_unavailable: {
    status: 503,
    openai: 'server_error',
    anthropic: 'overloaded_error',
    anthropicStatus: 529,
    blame: 'gateway',
  },
  no_backend: {
    status: 503,
    openai: 'server_error',
    anthropic: 'overloaded_error',
    anthropicStatus: 529,
    blame: 'backend',
  },
  draining: {
    status: 503,
    openai: 'overloaded_error',
    anthropic: 'overloaded_error',
    anthropicStatus: 529,
    blame: 'gateway',
  },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;
