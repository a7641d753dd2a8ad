import { api, auxiliary, bytesOf } from '../engine/engine.ts';
import type { Bytes, LuaState } from '../engine/types.ts';

/** What `tostring` makes of a value, without calling its `__tostring`: that is code of the script, which cannot run in here. */
export function textOf(L: LuaState, argument: number): Bytes {
  const type = api.lua_type(L, argument);
  if (type === api.LUA_TSTRING) return api.lua_tostring(L, argument);
  if (type === api.LUA_TNUMBER) {
    api.lua_pushvalue(L, argument);
    const text = api.lua_tostring(L, -1);
    api.lua_pop(L, 1);
    return text;
  }
  if (type === api.LUA_TBOOLEAN) return bytesOf(api.lua_toboolean(L, argument) ? 'true' : 'false');
  return auxiliary.luaL_typename(L, argument);
}
