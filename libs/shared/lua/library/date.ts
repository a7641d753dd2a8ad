/** `os.time`, `os.clock`, `os.difftime`, `os.date`: nothing else of `os`. All times are UTC, whatever the machine's zone. */
import type { Clock } from '@llmproxy/time';
import {
  api,
  auxiliary,
  badArgument,
  bytesOf,
  objects,
  pushBytes,
  raise,
  stringArgument,
  tableArgument,
  tables,
} from '../engine/engine.ts';
import { meter } from '../engine/meter.ts';
import type { LuaFunction, LuaState, Table, TValue } from '../engine/types.ts';

const FORMAT_BYTES_MAX = 128;
/** What formatting costs: a `%c` is about eight replacements of strings. */
const UNITS_PER_BYTE = 60;
const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

const two = (n: number): string => String(n).padStart(2, '0');
const dayOfYear = (at: Date): number =>
  Math.floor((at.getTime() - Date.UTC(at.getUTCFullYear(), 0, 1)) / 86_400_000) + 1;
const hour12 = (at: Date): number => at.getUTCHours() % 12 || 12;

const SPECIFIERS: Readonly<Record<string, (at: Date) => string>> = {
  '%': () => '%',
  a: (at) => (DAYS[at.getUTCDay()] as string).slice(0, 3),
  A: (at) => DAYS[at.getUTCDay()] as string,
  b: (at) => (MONTHS[at.getUTCMonth()] as string).slice(0, 3),
  B: (at) => MONTHS[at.getUTCMonth()] as string,
  d: (at) => two(at.getUTCDate()),
  F: (at) => formatted('%Y-%m-%d', at),
  H: (at) => two(at.getUTCHours()),
  I: (at) => two(hour12(at)),
  j: (at) => String(dayOfYear(at)).padStart(3, '0'),
  m: (at) => two(at.getUTCMonth() + 1),
  M: (at) => two(at.getUTCMinutes()),
  p: (at) => (at.getUTCHours() < 12 ? 'AM' : 'PM'),
  S: (at) => two(at.getUTCSeconds()),
  T: (at) => formatted('%H:%M:%S', at),
  w: (at) => String(at.getUTCDay()),
  y: (at) => two(at.getUTCFullYear() % 100),
  Y: (at) => String(at.getUTCFullYear()),
  z: () => '+0000',
  Z: () => 'UTC',
  x: (at) => formatted('%m/%d/%y', at),
  X: (at) => formatted('%T', at),
  c: (at) => formatted('%a %b %d %T %Y', at),
};

function formatted(format: string, at: Date): string {
  return format.replaceAll(/%(.)/gs, (all, letter: string) => SPECIFIERS[letter]?.(at) ?? all);
}

/** Type tag of strings: LUA_TSTRING with variant 1. */
const STRING = 4 | (1 << 4);

function setField(L: LuaState, table: Table, name: string, value: number | boolean): void {
  pushBytes(L, bytesOf(name));
  const key = new objects.TValue(STRING, L.stack[L.top - 1]?.value);
  api.lua_pop(L, 1);
  const type = typeof value === 'number' ? api.LUA_TNUMBER : api.LUA_TBOOLEAN;
  tables.luaH_setfrom(L, table, key, new objects.TValue(type, value));
}

function pushFields(L: LuaState, at: Date): void {
  const table = tables.luaH_new(L);
  setField(L, table, 'year', at.getUTCFullYear());
  setField(L, table, 'month', at.getUTCMonth() + 1);
  setField(L, table, 'day', at.getUTCDate());
  setField(L, table, 'hour', at.getUTCHours());
  setField(L, table, 'min', at.getUTCMinutes());
  setField(L, table, 'sec', at.getUTCSeconds());
  setField(L, table, 'wday', at.getUTCDay() + 1);
  setField(L, table, 'yday', dayOfYear(at));
  setField(L, table, 'isdst', false);
  objects.pushobj2s(L, new objects.TValue(api.LUA_TTABLE, table));
}

function numberField(L: LuaState, table: Table, name: string, missing?: number): number {
  const value: TValue | undefined = table.strong.get(name)?.value;
  if (value?.ttisnumber()) return value.value as number;
  return missing ?? raise(L, `field '${name}' missing in date table`);
}

function secondsOf(L: LuaState, table: Table): number {
  const field = (name: string, missing?: number): number => numberField(L, table, name, missing);
  const day: [number, number, number] = [field('year'), field('month') - 1, field('day')];
  return Date.UTC(...day, field('hour', 12), field('min', 0), field('sec', 0)) / 1000;
}

/** The functions of `os`, which need to know the time. */
export function dateFunctions(clock: Clock): Readonly<Record<string, LuaFunction>> {
  const nowSeconds = (): number => Math.floor(clock.now() / 1000);
  return {
    time(L) {
      const given = !api.lua_isnoneornil(L, 1);
      api.lua_pushnumber(L, given ? secondsOf(L, tableArgument(L, 1)) : nowSeconds());
      return 1;
    },
    clock(L) {
      api.lua_pushnumber(L, clock.monotonic() / 1000);
      return 1;
    },
    difftime(L) {
      api.lua_pushnumber(L, auxiliary.luaL_checknumber(L, 1) - auxiliary.luaL_checknumber(L, 2));
      return 1;
    },
    date(L) {
      const bytes = api.lua_isnoneornil(L, 1) ? bytesOf('%c') : stringArgument(L, 1);
      if (bytes.length > FORMAT_BYTES_MAX) badArgument(L, 1, 'format too long');
      meter.work(bytes.length * UNITS_PER_BYTE);
      const seconds = api.lua_isnoneornil(L, 2) ? nowSeconds() : auxiliary.luaL_checknumber(L, 2);
      const at = new Date(seconds * 1000);
      if (Number.isNaN(at.getTime())) badArgument(L, 2, 'time out of range');
      const format = Buffer.from(bytes).toString('latin1').replace(/^!/, '');
      if (format === '*t') pushFields(L, at);
      else pushBytes(L, Buffer.from(formatted(format, at), 'latin1'));
      return 1;
    },
  };
}
