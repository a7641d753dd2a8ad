/** The basic functions. `pcall` and `xpcall` never see a spent budget: it leaves the interpreter as a JavaScript exception. */
import untypedBase from 'fengari/src/lbaselib.js';
import {
  api,
  auxiliary,
  bytesOf,
  hashOf,
  objects,
  raise,
  rawIndex,
  tableArgument,
} from '../engine/engine.ts';
import { meter } from '../engine/meter.ts';
import type { Entry, LuaFunction, LuaState, Table, TValue } from '../engine/types.ts';
import { opened } from './opened.ts';
import { unpack } from './table.ts';

const METATABLE = bytesOf('__metatable');
const TOSTRING = bytesOf('__tostring');

/** The functions of fengari that do little and call nothing. */
const UNCHANGED = [
  'assert',
  'error',
  'getmetatable',
  'rawequal',
  'rawget',
  'rawlen',
  'rawset',
  'select',
  'type',
];

function setmetatable(L: LuaState): number {
  const table = tableArgument(L, 1);
  const type = api.lua_type(L, 2);
  if (type !== api.LUA_TNIL) auxiliary.luaL_checktype(L, 2, api.LUA_TTABLE);
  if (table.frozen === true || auxiliary.luaL_getmetafield(L, 1, METATABLE) !== api.LUA_TNIL) {
    raise(L, 'cannot change a protected metatable');
  }
  table.metatable = type === api.LUA_TNIL ? null : (api.lua_topointer(L, 2) as Table);
  api.lua_settop(L, 1);
  return 1;
}

function pushKey(L: LuaState, key: TValue): void {
  if (key.ttisnumber()) api.lua_pushnumber(L, key.value as number);
  else objects.pushobj2s(L, key);
}

/** The entry after the one with this key; also when that one was removed during the traversal. */
function entryAfter(L: LuaState, table: Table, key: TValue): Entry | undefined {
  const hash = hashOf(key);
  const live = table.strong.get(hash);
  if (live !== undefined) return live.n;
  let entry = table.dead_strong.get(hash) ?? table.dead_weak?.get(hash as object);
  if (entry === undefined) raise(L, "invalid key to 'next'");
  let steps = 0;
  do {
    entry = entry.n;
    steps++;
  } while (entry?.key.ttisdeadkey());
  meter.work(steps >> 3);
  return entry;
}

function next(L: LuaState): number {
  const table = tableArgument(L, 1);
  api.lua_settop(L, 2);
  const key = L.stack[L.top - 1] as TValue;
  const entry = key.ttisnil() ? table.f : entryAfter(L, table, key);
  if (entry?.value === undefined) {
    api.lua_pushnil(L);
    return 1;
  }
  pushKey(L, entry.key);
  objects.pushobj2s(L, entry.value);
  return 2;
}

function ipairsNext(L: LuaState): number {
  const index = auxiliary.luaL_checknumber(L, 2) + 1;
  const value = rawIndex(tableArgument(L, 1), index);
  if (value === undefined) {
    api.lua_pushnil(L);
    return 1;
  }
  api.lua_pushnumber(L, index);
  objects.pushobj2s(L, value);
  return 2;
}

const LIGHT_FUNCTION = 6 | (1 << 4);
const asValue = (f: LuaFunction): TValue => new objects.TValue(LIGHT_FUNCTION, f);
const [nextValue, ipairsValue] = [asValue(next), asValue(ipairsNext)];

function pairs(L: LuaState): number {
  tableArgument(L, 1);
  objects.pushobj2s(L, nextValue);
  api.lua_pushvalue(L, 1);
  api.lua_pushnil(L);
  return 3;
}

function ipairs(L: LuaState): number {
  tableArgument(L, 1);
  objects.pushobj2s(L, ipairsValue);
  api.lua_pushvalue(L, 1);
  api.lua_pushnumber(L, 0);
  return 3;
}

/** An exception of JavaScript takes about as long as this many instructions. */
const UNITS_PER_ERROR = 400;

/** Did a protected call go well? If not, what fengari forgets is put right: it leaves the count hook switched off after an error. */
function wentWell(L: LuaState, status: number): boolean {
  if (status === api.LUA_OK || status === api.LUA_YIELD) return true;
  L.allowhook = 1;
  meter.work(UNITS_PER_ERROR);
  return false;
}

function afterCall(L: LuaState, status: number, below: number): number {
  if (wentWell(L, status)) return api.lua_gettop(L) - below;
  api.lua_pushboolean(L, false);
  api.lua_insert(L, -2);
  return 2;
}

function pcall(L: LuaState): number {
  auxiliary.luaL_checkany(L, 1);
  api.lua_pushboolean(L, true);
  api.lua_insert(L, 1);
  return afterCall(L, api.lua_pcallk(L, api.lua_gettop(L) - 2, api.LUA_MULTRET, 0, 0, afterCall), 0);
}

function afterHandler(L: LuaState, status: number): number {
  wentWell(L, status);
  api.lua_pushboolean(L, false);
  api.lua_insert(L, -2);
  return 2;
}

/** The handler runs after the stack was unwound: inside of it, as in the reference, a hook could not be interrupted. */
function afterProtected(L: LuaState, status: number, below: number): number {
  if (wentWell(L, status)) return api.lua_gettop(L) - below;
  api.lua_pushvalue(L, 2);
  api.lua_insert(L, -2);
  return afterHandler(L, api.lua_pcallk(L, 1, 1, 0, 0, afterHandler));
}

function xpcall(L: LuaState): number {
  const arguments_ = api.lua_gettop(L);
  auxiliary.luaL_checktype(L, 2, api.LUA_TFUNCTION);
  api.lua_pushboolean(L, true);
  api.lua_pushvalue(L, 1);
  api.lua_rotate(L, 3, 2);
  const status = api.lua_pcallk(L, arguments_ - 2, api.LUA_MULTRET, 0, 2, afterProtected);
  return afterProtected(L, status, 2);
}

function afterTostring(L: LuaState): number {
  if (!api.lua_isstring(L, -1)) raise(L, "'__tostring' must return a string");
  return 1;
}

function tostring(L: LuaState): number {
  auxiliary.luaL_checkany(L, 1);
  if (auxiliary.luaL_getmetafield(L, 1, TOSTRING) === api.LUA_TNIL) {
    auxiliary.luaL_tolstring(L, 1);
    return 1;
  }
  api.lua_pushvalue(L, 1);
  api.lua_callk(L, 1, 1, 0, afterTostring);
  return afterTostring(L);
}

const DIGITS_MAX = 200;
const BASED = /^\s*([-+]?)([0-9a-z]+)\s*$/i;

/** A numeral in a base from 2 to 36, or undefined. */
function inBase(text: string, base: number): number | undefined {
  const [, sign, digits] = BASED.exec(text) ?? [];
  if (digits === undefined) return undefined;
  let value = 0;
  for (const digit of digits) {
    const d = parseInt(digit, 36);
    if (d >= base) return undefined;
    value = value * base + d;
  }
  return sign === '-' ? -value : value;
}

function tonumber(L: LuaState): number {
  auxiliary.luaL_checkany(L, 1);
  let value: number | undefined;
  if (!api.lua_isnoneornil(L, 2)) {
    const base = auxiliary.luaL_checknumber(L, 2);
    if (!(base >= 2 && base <= 36)) auxiliary.luaL_argerror(L, 2, bytesOf('base out of range'));
    const bytes = auxiliary.luaL_checkstring(L, 1);
    if (bytes.length <= DIGITS_MAX) value = inBase(Buffer.from(bytes).toString('latin1'), base);
  } else {
    const result = new objects.TValue(api.LUA_TNIL, null);
    if (api.lua_type(L, 1) === api.LUA_TNUMBER) value = api.lua_tonumber(L, 1);
    else if (api.lua_type(L, 1) === api.LUA_TSTRING) {
      const bytes = api.lua_tostring(L, 1);
      if (objects.luaO_str2num(bytes, result) === bytes.length + 1) value = result.value as number;
    }
  }
  if (value === undefined) api.lua_pushnil(L);
  else api.lua_pushnumber(L, value);
  return 1;
}

export const baseFunctions: Readonly<Record<string, LuaFunction>> = {
  ...opened(untypedBase, 'luaopen_base', UNCHANGED),
  setmetatable,
  next,
  pairs,
  ipairs,
  pcall,
  xpcall,
  tostring,
  tonumber,
  unpack,
};
