import { api } from '../engine/engine.ts';
import type { LuaFunction, LuaState, Table } from '../engine/types.ts';

/** The named functions of one of fengari's own libraries, from a throw-away interpreter. */
export function opened(
  library: unknown,
  open: string,
  names: readonly string[],
): Readonly<Record<string, LuaFunction>> {
  const L: LuaState = api.lua_newstate();
  (library as Record<string, LuaFunction>)[open]?.(L);
  const table = api.lua_topointer(L, -1) as Table;
  return Object.fromEntries(names.map((name) => [name, table.strong.get(name)?.value?.value as LuaFunction]));
}
