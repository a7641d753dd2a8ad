/** What a script finds: the library, in tables that nobody can change, and an interpreter to run it in. */
import type { Clock } from '@llmproxy/time';
import { api, bytesOf, objects, pushBytes, raise } from './engine/engine.ts';
import { CHECK_EVERY, meter } from './engine/meter.ts';
import type { Bytes, LuaFunction, LuaState, Table, TValue } from './engine/types.ts';
import { baseFunctions } from './library/base.ts';
import { dateFunctions } from './library/date.ts';
import { formatFunctions } from './library/format.ts';
import { mathConstants, mathFunctions } from './library/math.ts';
import { textOf } from './library/plain-text.ts';
import { searchFunctions } from './library/search.ts';
import { tableFunctions } from './library/table.ts';
import { textFunctions } from './library/text.ts';
import { newTable, setField, toLua } from './values.ts';

type Functions = Readonly<Record<string, LuaFunction>>;

const LIGHT_FUNCTION = 6 | (1 << 4);
const STRING_TYPE = 4;
const LOG_BYTES_MAX = 1024;
/** Lines of one run that reach the log; the rest is dropped. */
const LOG_LINES_MAX = 20;

const tableValue = (table: Table): TValue => new objects.TValue(api.LUA_TTABLE, table);

function fill(L: LuaState, table: Table, functions: Functions): Table {
  for (const [name, f] of Object.entries(functions)) {
    setField(L, table, name, new objects.TValue(LIGHT_FUNCTION, f));
  }
  return table;
}

function freeze(table: Table): Table {
  table.frozen = true;
  return table;
}

function library(L: LuaState, functions: Functions, constants: Readonly<Record<string, number>> = {}): Table {
  const table = fill(L, newTable(L), functions);
  for (const [name, value] of Object.entries(constants)) setField(L, table, name, toLua(L, value));
  return freeze(table);
}

/** A metatable whose `__index` is `table`, and which scripts can neither see nor change. */
function pointingTo(L: LuaState, table: Table): Table {
  const metatable = newTable(L);
  setField(L, metatable, '__index', tableValue(table));
  setField(L, metatable, '__metatable', toLua(L, false));
  return freeze(metatable);
}

export interface EnvironmentOptions {
  clock: Clock;
  /** Where `log` and `print` of the script go, one line each, at most 1 KB, at most 20 of a run. */
  log: (message: string) => void;
}

/** Control characters of a script must not forge lines of the log. */
function logLine(bytes: Bytes): string {
  const text = Buffer.from(bytes).toString('utf8');
  return text.replaceAll(/[\0-\x1f\x7f]/g, ' ');
}

function ownFunctions({ clock, log }: EnvironmentOptions): Functions {
  const write: LuaFunction = (L) => {
    const parts: Bytes[] = [];
    const count = api.lua_gettop(L);
    for (let i = 1; i <= count; i++) parts.push(textOf(L, i), SPACE);
    meter.work(LOG_UNITS + count);
    if (++meter.lines <= LOG_LINES_MAX)
      log(logLine(Buffer.concat(parts.slice(0, -1)).subarray(0, LOG_BYTES_MAX)));
    return 0;
  };
  return {
    log: write,
    print: write,
    now(L) {
      api.lua_pushnumber(L, Math.floor(clock.now() / 1000));
      return 1;
    },
    now_ms(L) {
      api.lua_pushnumber(L, clock.now());
      return 1;
    },
  };
}
const LOG_UNITS = 50;
const SPACE = bytesOf(' ');

/** An interpreter with the library, and the metatable that gives it to the globals of each run. */
export interface Environment {
  main: LuaState;
  globalsMetatable: Table;
}

/** Gives the event loop back between two instructions once the slice is over. */
function onCount(L: LuaState): void {
  meter.work(CHECK_EVERY);
  if (!meter.paused) return;
  if (api.lua_isyieldable(L)) api.lua_yield(L, 0);
  else raise(L, 'a hook cannot be interrupted here');
}

export function createEnvironment(options: EnvironmentOptions): Environment {
  const main = api.lua_newstate();
  const globals = fill(main, newTable(main), { ...baseFunctions, ...ownFunctions(options) });
  const text = library(main, { ...textFunctions, ...searchFunctions, ...formatFunctions });
  const libraries = {
    string: text,
    table: library(main, tableFunctions),
    math: library(main, mathFunctions, mathConstants),
    os: library(main, dateFunctions(options.clock)),
  };
  for (const [name, table] of Object.entries(libraries)) setField(main, globals, name, tableValue(table));
  pushBytes(main, bytesOf('Lua 5.3'));
  setField(main, globals, '_VERSION', main.stack[main.top - 1] as TValue);
  api.lua_pop(main, 1);
  main.l_G.mt[STRING_TYPE] = pointingTo(main, text);
  api.lua_sethook(main, onCount, api.LUA_MASKCOUNT, CHECK_EVERY);
  return { main, globalsMetatable: pointingTo(main, freeze(globals)) };
}
