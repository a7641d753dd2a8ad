export type { Granted, Refused, RefusedBy, ScopeKind, Unavailable } from './core/admission.ts';
export { estimateTokens } from './core/estimate.ts';
export { rateLimitHeaders, refusalHeaders } from './core/headers.ts';
export { openLimiter } from './limiter.ts';
export type { Admission, Limiter, LimiterOptions, LimitRequest } from './limiter.ts';
export type { Reservation } from './open-request.ts';
