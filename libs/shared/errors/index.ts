export { errorTable, type Dialect, type ErrorCode, type ErrorRow } from './error-table.ts';
export { GatewayError, toGatewayError, type Subject } from './gateway-error.ts';
export { renderError, renderStreamError, type RenderedError } from './render.ts';
