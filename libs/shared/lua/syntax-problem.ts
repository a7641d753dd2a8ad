import { compileHook, LuaSyntaxError } from './hook.ts';

/** What is wrong with the syntax of a script, with its line; undefined when it is Lua. */
export function syntaxProblem(source: string): string | undefined {
  try {
    compileHook(source, { name: 'line' });
    return undefined;
  } catch (error) {
    if (error instanceof LuaSyntaxError) return error.message;
    throw error;
  }
}
