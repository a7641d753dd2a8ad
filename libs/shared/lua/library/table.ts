/** `table`: all without metamethods, so that nothing of the script runs in between; only the comparison of `sort` does. */
import {
  api,
  auxiliary,
  badArgument,
  integerArgument,
  objects,
  PAUSE,
  pushBytes,
  raise,
  rawIndex,
  runJob,
  setRawIndex,
  stringArgument,
  tableArgument,
  tables,
  type Job,
} from '../engine/engine.ts';
import { meter } from '../engine/meter.ts';
import type { Bytes, LuaFunction, LuaState, Table, TString, TValue } from '../engine/types.ts';
import { ByteBuffer } from './byte-buffer.ts';
import { RESULTS_MAX } from './text.ts';
import { sorted } from './sort.ts';

/** Elements handled between two places where a job can be interrupted. */
const CHUNK = 256;
const UNITS_PER_MOVE = 4;

function lengthOf(table: Table): number {
  meter.work(2);
  return tables.luaH_getn(table);
}

/** Moves `count` elements, from the last one down when the places overlap upwards. */
function* moveElements(L: LuaState, from: [Table, number], to: [Table, number], count: number): Job {
  const upwards = from[0] === to[0] && to[1] > from[1];
  for (let moved = 0; moved < count; moved++) {
    const i = upwards ? count - 1 - moved : moved;
    setRawIndex(L, to[0], to[1] + i, rawIndex(from[0], from[1] + i));
    if (moved % CHUNK === CHUNK - 1) {
      meter.work(CHUNK * UNITS_PER_MOVE);
      if (meter.paused) yield PAUSE;
    }
  }
  meter.work((count % CHUNK) * UNITS_PER_MOVE);
  return 0;
}

function insert(L: LuaState): number {
  const table = tableArgument(L, 1);
  const end = lengthOf(table) + 1;
  const arguments_ = api.lua_gettop(L);
  if (arguments_ === 2) {
    setRawIndex(L, table, end, L.stack[L.top - 1]);
    return 0;
  }
  if (arguments_ !== 3) raise(L, "wrong number of arguments to 'insert'");
  const position = integerArgument(L, 2);
  if (position < 1 || position > end) badArgument(L, 2, 'position out of bounds');
  return runJob(L, insertAt(L, table, position, end));
}

function* insertAt(L: LuaState, table: Table, position: number, end: number): Job {
  yield* moveElements(L, [table, position], [table, position + 1], end - position);
  setRawIndex(L, table, position, L.stack[L.top - 1]);
  return 0;
}

function pushRaw(L: LuaState, table: Table, index: number): void {
  const value = rawIndex(table, index);
  if (value === undefined) api.lua_pushnil(L);
  else objects.pushobj2s(L, value);
}

function remove(L: LuaState): number {
  const table = tableArgument(L, 1);
  const size = lengthOf(table);
  const position = integerArgument(L, 2, size);
  if (position !== size && (position < 1 || position > size + 1)) badArgument(L, 2, 'position out of bounds');
  pushRaw(L, table, position);
  return runJob(L, removeAt(L, table, position, size));
}

function* removeAt(L: LuaState, table: Table, position: number, size: number): Job {
  const moved = Math.max(0, size - position);
  yield* moveElements(L, [table, position + 1], [table, position], moved);
  setRawIndex(L, table, position + moved, undefined);
  return 1;
}

function move(L: LuaState): number {
  const from = tableArgument(L, 1);
  const [first, last, target] = [integerArgument(L, 2), integerArgument(L, 3), integerArgument(L, 4)];
  const to = api.lua_isnoneornil(L, 5) ? from : tableArgument(L, 5);
  api.lua_settop(L, 5);
  if (to === from) api.lua_pushvalue(L, 1);
  return runJob(L, moveAll(L, [from, first], [to, target], last - first + 1));
}

function* moveAll(L: LuaState, from: [Table, number], to: [Table, number], count: number): Job {
  yield* moveElements(L, from, to, Math.max(0, count));
  return 1;
}

function elementText(L: LuaState, table: Table, index: number): Bytes {
  const value = rawIndex(table, index);
  if (value?.ttisstring()) return (value.value as TString).realstring;
  if (!value?.ttisnumber()) {
    return raise(L, `invalid value at index ${index} in table for 'concat'`);
  }
  objects.pushobj2s(L, value);
  const text = api.lua_tostring(L, -1);
  api.lua_pop(L, 1);
  return text;
}

function* join(L: LuaState, table: Table, separator: Bytes, range: [number, number]): Job {
  const buffer = new ByteBuffer();
  for (let i = range[0]; i <= range[1]; i++) {
    if (i > range[0]) buffer.add(separator);
    buffer.add(elementText(L, table, i));
    meter.work(1);
    if (meter.paused) yield PAUSE;
  }
  pushBytes(L, buffer.take());
  return 1;
}

function concat(L: LuaState): number {
  const table = tableArgument(L, 1);
  const separator = api.lua_isnoneornil(L, 2) ? new Uint8Array() : stringArgument(L, 2);
  const first = integerArgument(L, 3, 1);
  const last = api.lua_isnoneornil(L, 4) ? lengthOf(table) : integerArgument(L, 4);
  return runJob(L, join(L, table, separator, [first, last]));
}

function pack(L: LuaState): number {
  const count = api.lua_gettop(L);
  meter.work(count);
  const table = tables.luaH_new(L);
  for (let i = 1; i <= count; i++) setRawIndex(L, table, i, L.stack[L.top - count + i - 1]);
  api.lua_pushnumber(L, count);
  const key = new objects.TValue(STRING, tableSizeName(L));
  tables.luaH_setfrom(L, table, key, L.stack[L.top - 1] as TValue);
  objects.pushobj2s(L, new objects.TValue(api.LUA_TTABLE, table));
  return 1;
}
/** Type tag of strings: LUA_TSTRING with variant 1. */
const STRING = 4 | (1 << 4);

function tableSizeName(L: LuaState): TString {
  pushBytes(L, Uint8Array.of(110));
  const name = L.stack[L.top - 1]?.value as TString;
  api.lua_pop(L, 1);
  return name;
}

export function unpack(L: LuaState): number {
  const table = tableArgument(L, 1);
  const first = integerArgument(L, 2, 1);
  const last = api.lua_isnoneornil(L, 3) ? lengthOf(table) : integerArgument(L, 3);
  const count = last - first + 1;
  if (count <= 0) return 0;
  if (count > RESULTS_MAX || !api.lua_checkstack(L, count)) raise(L, 'too many results to unpack');
  meter.work(count);
  for (let i = first; i <= last; i++) pushRaw(L, table, i);
  return count;
}

function sort(L: LuaState): number {
  const table = tableArgument(L, 1);
  if (!api.lua_isnoneornil(L, 2)) auxiliary.luaL_checktype(L, 2, api.LUA_TFUNCTION);
  api.lua_settop(L, 2);
  return runJob(L, sortInPlace(L, table));
}

function* sortInPlace(L: LuaState, table: Table): Job {
  const elements: TValue[] = [];
  const size = lengthOf(table);
  meter.allocate(size * 64);
  for (let i = 1; i <= size; i++) {
    const value = rawIndex(table, i) as TValue;
    elements.push(new objects.TValue(value.type, value.value));
    meter.work(1);
    if (meter.paused) yield PAUSE;
  }
  const result = yield* sorted(L, elements);
  for (let i = 0; i < result.length; i++) {
    setRawIndex(L, table, i + 1, result[i]);
    meter.work(2);
    if (meter.paused) yield PAUSE;
  }
  return 0;
}

export const tableFunctions: Readonly<Record<string, LuaFunction>> = {
  concat,
  insert,
  move,
  pack,
  remove,
  sort,
  unpack,
};
