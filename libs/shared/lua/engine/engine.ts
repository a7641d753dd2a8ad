/** The bounded interpreter's API, and what every library function needs: arguments, results, and giving the event loop back. */
import { debug, objects, tables } from './internals.ts';
import untypedApi from 'fengari/src/lua.js';
import untypedAuxiliary from 'fengari/src/lauxlib.js';
import { strings } from './strings.ts';
import { meter } from './meter.ts';
import type { Api, Auxiliary, Bytes, LuaState, Table, TString, TValue } from './types.ts';

export const api = untypedApi as Api;
export const auxiliary = untypedAuxiliary as Auxiliary;
export { debug, objects, strings, tables };

const encoder = new TextEncoder();

export function bytesOf(text: string): Bytes {
  return encoder.encode(text);
}

/** @throws a Lua error, which a script can catch */
export function raise(L: LuaState, message: string): never {
  return auxiliary.luaL_error(L, bytesOf(message.replaceAll('%', '%%')));
}

/** @throws a Lua error that names the argument */
export function badArgument(L: LuaState, argument: number, message: string): never {
  return auxiliary.luaL_argerror(L, argument, bytesOf(message));
}

export function stringArgument(L: LuaState, argument: number): Bytes {
  return auxiliary.luaL_checkstring(L, argument);
}

/** A number without fraction; also one beyond 32 bits. */
export function integerArgument(L: LuaState, argument: number, missing?: number): number {
  if (missing !== undefined && api.lua_isnoneornil(L, argument)) return missing;
  const value = auxiliary.luaL_checknumber(L, argument);
  if (!Number.isInteger(value)) badArgument(L, argument, 'number has no integer representation');
  return value;
}

export function tableArgument(L: LuaState, argument: number): Table {
  auxiliary.luaL_checktype(L, argument, api.LUA_TTABLE);
  return api.lua_topointer(L, argument) as Table;
}

/** Pushes bytes that nobody else will change. */
export function pushBytes(L: LuaState, bytes: Bytes): void {
  objects.pushsvalue2s(L, strings.luaS_bless(L, bytes));
}

/** What a key is called in the map of a table. */
export function hashOf(key: TValue): unknown {
  return key.ttisstring() ? strings.luaS_hashlongstr(key.value as TString) : key.value;
}

/** `table[index]`, without metamethods. */
export function rawIndex(table: Table, index: number): TValue | undefined {
  return table.strong.get(index)?.value;
}

const NIL = new objects.TValue(api.LUA_TNIL, null);
const LUA_TNUMFLT = api.LUA_TNUMBER;

/** `table[index] = value`, without metamethods. */
export function setRawIndex(L: LuaState, table: Table, index: number, value: TValue | undefined): void {
  tables.luaH_setfrom(L, table, new objects.TValue(LUA_TNUMFLT, index), value ?? NIL);
}

/** A place where a long library function may be interrupted. */
export const PAUSE = -1;

/**
 * A library function that can take long, or that calls functions of the script. It yields `PAUSE` where it can be interrupted, and a number
 * n ≥ 0 to have the function below the n topmost stack slots called with these; on return its one result is on top. Its own result is
 * how many values it pushed.
 */
export type Job = Generator<number, number, void>;

function continueJob(L: LuaState, _status: number, job: Job): number {
  return runJob(L, job);
}

/**
 * Runs a job. Unlike fengari's own library, neither a long job nor a callback of the script stands between the interpreter and the event
 * loop: both can yield the Lua thread.
 */
export function runJob(L: LuaState, job: Job): number {
  for (;;) {
    const { done, value } = job.next();
    if (done === true) return value;
    if (value !== PAUSE) api.lua_callk(L, value, 1, job, continueJob);
    else if (meter.paused && api.lua_isyieldable(L)) return api.lua_yieldk(L, 0, job, continueJob);
  }
}
