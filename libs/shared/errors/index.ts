export { errorTable, type ErrorCode, type ErrorRow } from './error-table.ts';
export { GatewayError, toGatewayError, type Subject } from './gateway-error.ts';
export { renderError, renderStreamError, type Dialect, type RenderedError } from './render.ts';
