export { defineScript } from './define-script.ts';
export type { RedisScript, ScriptDefinition, ScriptRunner } from './define-script.ts';
