export { compileHook, DEFAULT_BUDGET, LuaSyntaxError } from './hook.ts';
export type { Hook, HookOptions, LuaOutcome } from './hook.ts';
export { decisionOf } from './decision.ts';
export type { HookDecision } from './decision.ts';
export type { HookBudget } from './engine/meter.ts';
export type { LuaValue } from './values.ts';
export { syntaxProblem } from './syntax-problem.ts';
