/**
 * fengari reads its two compile-time settings from the environment when it is first loaded. This module must be evaluated before any
 * other of its modules: a stack of 20,000 slots bounds recursion and argument lists, and numbers without a fraction print without one.
 */
const outer = process.env['FENGARICONF'];
process.env['FENGARICONF'] = JSON.stringify({ LUAI_MAXSTACK: 20_000, LUA_COMPAT_FLOATSTRING: true });

/** Gives the variable back, once fengari has read it: no child process should see it. */
export function restoreEnvironment(): void {
  if (outer === undefined) delete process.env['FENGARICONF'];
  else process.env['FENGARICONF'] = outer;
}
