/** `math`: fengari's, except what keeps state between runs (`randomseed`) or would call a metamethod (`max`, `min`). */
import untypedMath from 'fengari/src/lmathlib.js';
import { api, auxiliary, badArgument, integerArgument } from '../engine/engine.ts';
import { meter } from '../engine/meter.ts';
import type { LuaFunction, LuaState } from '../engine/types.ts';
import { opened } from './opened.ts';

const UNCHANGED = [
  'abs',
  'acos',
  'asin',
  'atan',
  'cos',
  'deg',
  'exp',
  'fmod',
  'log',
  'rad',
  'sin',
  'sqrt',
  'tan',
  'type',
];

const rounded =
  (round: (x: number) => number): LuaFunction =>
  (L) => {
    api.lua_pushnumber(L, round(auxiliary.luaL_checknumber(L, 1)));
    return 1;
  };

const extreme =
  (isBetter: (a: number, b: number) => boolean): LuaFunction =>
  (L) => {
    const count = api.lua_gettop(L);
    meter.work(count);
    let best = auxiliary.luaL_checknumber(L, 1);
    for (let i = 2; i <= count; i++) {
      const value = auxiliary.luaL_checknumber(L, i);
      if (isBetter(value, best)) best = value;
    }
    api.lua_pushnumber(L, best);
    return 1;
  };

function modf(L: LuaState): number {
  const value = auxiliary.luaL_checknumber(L, 1);
  const whole = Math.trunc(value);
  api.lua_pushnumber(L, whole);
  api.lua_pushnumber(L, value === whole ? 0 : value - whole);
  return 2;
}

function tointeger(L: LuaState): number {
  auxiliary.luaL_checkany(L, 1);
  const value = api.lua_type(L, 1) === api.LUA_TNUMBER ? api.lua_tonumber(L, 1) : NaN;
  if (Number.isInteger(value)) api.lua_pushnumber(L, value);
  else api.lua_pushnil(L);
  return 1;
}

function random(L: LuaState): number {
  const count = api.lua_gettop(L);
  if (count === 0) {
    api.lua_pushnumber(L, Math.random());
    return 1;
  }
  const low = count === 1 ? 1 : integerArgument(L, 1);
  const high = integerArgument(L, count === 1 ? 1 : 2);
  if (low > high) badArgument(L, count, 'interval is empty');
  api.lua_pushnumber(L, low + Math.floor(Math.random() * (high - low + 1)));
  return 1;
}

export const mathFunctions: Readonly<Record<string, LuaFunction>> = {
  ...opened(untypedMath, 'luaopen_math', UNCHANGED),
  ceil: rounded(Math.ceil),
  floor: rounded(Math.floor),
  max: extreme((a, b) => a > b),
  min: extreme((a, b) => a < b),
  modf,
  random,
  tointeger,
};

export const mathConstants: Readonly<Record<string, number>> = {
  pi: Math.PI,
  huge: Infinity,
  maxinteger: Number.MAX_SAFE_INTEGER,
  mininteger: Number.MIN_SAFE_INTEGER,
};
