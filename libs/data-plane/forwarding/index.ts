export { departure, forward, type Backend, type Forwarded, type ForwardOptions } from './forward.ts';
export { relay, refuse, type AnswerObserver, type Relayed, type RelayOptions } from './relay.ts';
export { openHttp1Forwarder, type Http1ForwarderOptions } from './http1-forwarder.ts';
export { createRequestHeaderRules, requestHeaders, type RequestHeaderRules } from './core/header-rules.ts';
export { backendTarget } from './core/backend-target.ts';
export { BodyDecoder } from './core/body-decoder.ts';
export { HeadMemory, headerReader } from './core/head-memory.ts';
