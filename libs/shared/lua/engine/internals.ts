/**
 * fengari's interpreter, bounded. Its loop cannot be changed, but it calls these functions through their modules, so replacing them there
 * is enough:
 *
 * - `luaG_traceexec` runs before every instruction: instructions whose cost depends on their operands pay for it first, and those that would
 *   make a string too long never start. (The count hook itself costs a look at the clock every 256 instructions.)
 * - `luaH_new`, `luaH_setfrom` count the memory of tables; the latter also keeps scripts from changing the library's own tables.
 * - `luaH_getn` finds the border of a table in ~100 steps also when the table was built to make it search linearly.
 * - `fasttm` counts the steps of long chains of `__index`.
 * - `luaO_str2num` reads at most 200 characters, and `setivalue` makes every number a double: fengari's integers have 32 bits, so
 *   `86400 * 1000 * 30` would be negative.
 */
import { strings } from './strings.ts';
import { restoreEnvironment } from './configure.ts';
import untypedApi from 'fengari/src/lapi.js';
import untypedDebug from 'fengari/src/ldebug.js';
import untypedObject from 'fengari/src/lobject.js';
import untypedTable from 'fengari/src/ltable.js';
import untypedTags from 'fengari/src/ltm.js';
import untypedOpcodes from 'fengari/src/lopcodes.js';
import { ENTRY_BYTES, meter, STRING_BYTES_MAX } from './meter.ts';
import type {
  Api,
  CallInfo,
  DebugInternals,
  Instruction,
  LClosure,
  LuaState,
  ObjectInternals,
  TableInternals,
  TagMethodInternals,
  TString,
} from './types.ts';

restoreEnvironment();

export const objects = untypedObject as ObjectInternals;
export const tables = untypedTable as TableInternals;
export const debug = untypedDebug as DebugInternals;
const api = untypedApi as Pick<Api, 'lua_pushinteger' | 'lua_pushnumber'>;
const tags = untypedTags as TagMethodInternals;
const { OpCodesI: op } = untypedOpcodes as { OpCodesI: Record<`OP_${string}`, number> };

const TABLE_BYTES = 400;
const CLOSURE_BYTES = 120;
const UPVALUE_BYTES = 40;
const NUMERAL_BYTES_MAX = 200;

/** Pays for the operands of one instruction before it runs. */
type Weigh = (L: LuaState, ci: CallInfo, instruction: Instruction) => void;

const weighOpenList: Weigh = (L, ci, { A, B }) => {
  if (B === 0) meter.work(Math.max(0, L.top - ci.l_base - A));
};

const weighers: Record<string, Weigh> = {
  OP_CONCAT(L, ci, { B, C }) {
    let bytes = 0;
    for (let i = ci.l_base + B; i <= ci.l_base + C; i++) {
      const operand = L.stack[i];
      if (operand?.ttisstring()) bytes += (operand.value as TString).realstring.length;
    }
    if (bytes > STRING_BYTES_MAX) meter.allocateString(bytes);
    if (bytes > 1024) meter.work(bytes >> 8);
  },
  OP_VARARG(_, ci, { B }) {
    if (B === 0) meter.work(Math.max(0, ci.l_base - ci.funcOff - 1));
  },
  OP_CLOSURE(_, ci, { Bx }) {
    const upvalues = (ci.func.value as LClosure).p.p[Bx]?.upvalues.length ?? 0;
    meter.allocate(CLOSURE_BYTES + UPVALUE_BYTES * upvalues);
  },
  OP_CALL: weighOpenList,
  OP_TAILCALL: weighOpenList,
  OP_RETURN: weighOpenList,
  OP_SETLIST: weighOpenList,
};

const weigherOf: (Weigh | undefined)[] = [];
for (const [name, weigh] of Object.entries(weighers)) weigherOf[op[name as `OP_${string}`] as number] = weigh;
for (let i = 0; i < 64; i++) weigherOf[i] ??= undefined;

const traceexec = debug.luaG_traceexec;
debug.luaG_traceexec = (L) => {
  const { ci } = L;
  const instruction = ci.l_code[ci.l_savedpc - 1] as Instruction;
  const weigh = weigherOf[instruction.opcode];
  if (weigh !== undefined) weigh(L, ci, instruction);
  traceexec(L);
};

const { luaH_new, luaH_setfrom, luaH_setint } = tables;
tables.luaH_new = (L) => {
  meter.allocate(TABLE_BYTES);
  return luaH_new(L);
};
const READ_ONLY = new TextEncoder().encode('attempt to change a table that all hooks share');
tables.luaH_setfrom = (L, table, key, value) => {
  if (table.frozen === true) debug.luaG_runerror(L, READ_ONLY);
  const before = table.strong.size;
  luaH_setfrom(L, table, key, value);
  if (table.strong.size > before) meter.allocate(ENTRY_BYTES);
};
tables.luaH_setint = (table, key, value) => {
  const before = table.strong.size;
  luaH_setint(table, key, value);
  if (table.strong.size > before) meter.allocate(ENTRY_BYTES);
};
tables.luaH_getn = ({ strong }) => {
  const { size } = strong;
  if (size === 0 || (strong.has(size) && !strong.has(size + 1))) return size;
  let [present, absent] = [0, size + 1];
  while (absent < BORDER_MAX && strong.has(absent)) [present, absent] = [absent, absent * 2];
  let steps = 2;
  for (; absent - present > 1; steps++) {
    const middle = Math.floor((present + absent) / 2);
    if (strong.has(middle)) present = middle;
    else absent = middle;
  }
  meter.work(steps * 2);
  return present;
};

/** Beyond, `middle` below could be `present` for ever: the doubles are too far apart. */
const BORDER_MAX = 2 ** 51;

const { fasttm } = tags;
tags.fasttm = (L, metatable, event) => {
  if (metatable === null) return null;
  meter.work(1);
  return fasttm(L, metatable, event);
};

const { luaO_str2num } = objects;
const [UPPER_X, LOWER_X] = [88, 120];
const HEXADECIMAL = /^\s*(-?)\+?(0x[0-9a-f]+)\s*$/i;
objects.luaO_str2num = (bytes, result) => {
  if (bytes.length > NUMERAL_BYTES_MAX) return 0;
  if (!bytes.includes(LOWER_X) && !bytes.includes(UPPER_X)) return luaO_str2num(bytes, result);
  const hexadecimal = HEXADECIMAL.exec(strings.luaS_hash(bytes));
  if (hexadecimal === null) return luaO_str2num(bytes, result);
  result.setfltvalue(Number(hexadecimal[2]) * (hexadecimal[1] === '-' ? -1 : 1));
  return bytes.length + 1;
};

objects.TValue.prototype.setivalue = objects.TValue.prototype.setfltvalue;
// `lua.js` copies this one, and it is loaded after this module.
api.lua_pushinteger = api.lua_pushnumber;
