export { openAgent } from './agent.ts';
export type { AgentOptions } from './agent.ts';
export { lastingly } from './lastingly.ts';
export type { TlsTexts } from './tls-texts.ts';
