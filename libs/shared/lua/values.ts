/** Values across the border. Numbers are doubles on both sides; what comes back is bounded in depth and size. */
import { api, hashOf, objects, strings, tables } from './engine/engine.ts';
import { ENTRY_BYTES, meter } from './engine/meter.ts';
import type { Entry, LuaState, Table, TString, TValue } from './engine/types.ts';

/** What a hook may return: JSON. A table with the keys 1…n is an array, any other table, also an empty one, an object. */
export type LuaValue =
  string | number | boolean | null | readonly LuaValue[] | { readonly [key: string]: LuaValue };

const INPUT_DEPTH_MAX = 32;
const RESULT_DEPTH_MAX = 16;
const RESULT_VALUES_MAX = 10_000;
const RESULT_BYTES_MAX = 262_144;

/** A value that cannot cross the border. */
export class UnfitValue extends Error {
  override readonly name = 'UnfitValue';
}

/** Type tags: of strings, LUA_TSTRING with variant 1; of keys that are whole numbers, LUA_TNUMBER with variant 1. */
const STRING = 4 | (1 << 4);
const INTEGER = 3 | (1 << 4);
const NIL = new objects.TValue(api.LUA_TNIL, null);

const KNOWN_NAMES_MAX = 1000;
const KNOWN_NAME_LENGTH_MAX = 64;
/** Keys seen before, as strings whose hash is known: names of headers and fields come again with every request. */
const knownNames = new Map<string, TString>();

const encoder = new TextEncoder();
const plainAscii = /^[\0-\x7f]*$/;

const SHORT = 48;

/** UTF-8. Short ASCII, which is nearly all, is faster by hand than the call of the encoder. */
function encode(L: LuaState, text: string): TString {
  if (text.length > SHORT) return strings.luaS_bless(L, encoder.encode(text));
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) return strings.luaS_bless(L, encoder.encode(text));
    bytes[i] = code;
  }
  return strings.luaS_bless(L, bytes);
}

function nameOf(L: LuaState, name: string): TString {
  const known = knownNames.get(name);
  if (known !== undefined) return known;
  const string = encode(L, name);
  if (knownNames.size < KNOWN_NAMES_MAX && name.length <= KNOWN_NAME_LENGTH_MAX && plainAscii.test(name)) {
    strings.luaS_hashlongstr(string);
    knownNames.set(name, string);
  }
  return string;
}

/**
 * A value for a script: strings as UTF-8, bytes as they are, dates as unix seconds, arrays and objects as tables. null, undefined and
 * what has no equivalent is nil. @throws UnfitValue when it is nested more than 32 deep
 */
export function toLua(L: LuaState, value: unknown, depth = 0): TValue {
  switch (typeof value) {
    case 'string':
      return new objects.TValue(STRING, encode(L, value));
    case 'number':
      return new objects.TValue(api.LUA_TNUMBER, value);
    case 'bigint':
      return new objects.TValue(api.LUA_TNUMBER, Number(value));
    case 'boolean':
      return new objects.TValue(api.LUA_TBOOLEAN, value);
    case 'object':
      return value === null ? NIL : objectToLua(L, value, depth);
    default:
      return NIL;
  }
}

function objectToLua(L: LuaState, value: object, depth: number): TValue {
  if (depth >= INPUT_DEPTH_MAX) throw new UnfitValue(`data nested more than ${INPUT_DEPTH_MAX} deep`);
  if (value instanceof Date) return new objects.TValue(api.LUA_TNUMBER, value.getTime() / 1000);
  if (value instanceof Uint8Array) {
    return new objects.TValue(STRING, strings.luaS_bless(L, new Uint8Array(value)));
  }
  const table = newTable(L);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      append(table, i + 1, new objects.TValue(INTEGER, i + 1), toLua(L, value[i], depth + 1));
    }
  } else {
    const fields = value as Readonly<Record<string, unknown>>;
    for (const name of Object.keys(fields)) {
      const key = new objects.TValue(STRING, nameOf(L, name));
      append(table, hashOf(key), key, toLua(L, fields[name], depth + 1));
    }
  }
  return new objects.TValue(api.LUA_TTABLE, table);
}

/**
 * Adds a key that is not there yet to a table that no script has seen: what `luaH_setfrom` does less the search, the copies of key and
 * value, and the clearing of the map of removed entries, which is most of its time.
 */
function append(table: Table, hash: unknown, key: TValue, value: TValue): void {
  if (value.ttisnil()) return;
  meter.allocate(ENTRY_BYTES);
  const entry: Entry = { key, value, p: table.l, n: undefined };
  table.f ??= entry;
  if (table.l !== undefined) table.l.n = entry;
  table.l = entry;
  table.strong.set(hash, entry);
}

/** An empty table that may also become a metatable. */
export function newTable(L: LuaState): Table {
  const table = tables.luaH_new(L);
  table.flags = 0;
  return table;
}

export function setField(L: LuaState, table: Table, name: string, value: TValue): void {
  tables.luaH_setfrom(L, table, new objects.TValue(STRING, nameOf(L, name)), value);
}

interface Allowance {
  values: number;
  bytes: number;
}

/** What a script returned. @throws UnfitValue when it is too large, too deep, or holds a function */
export function fromLua(value: TValue): LuaValue {
  return valueFromLua(value, { values: RESULT_VALUES_MAX, bytes: RESULT_BYTES_MAX }, 0);
}

function valueFromLua(value: TValue, left: Allowance, depth: number): LuaValue {
  if (--left.values < 0) throw new UnfitValue(`more than ${RESULT_VALUES_MAX} values returned`);
  if (value.ttisnil()) return null;
  if (value.ttisboolean() || value.ttisnumber()) return value.value as boolean | number;
  if (value.ttisstring()) return textFromLua(value, left);
  if (value.ttistable()) return tableFromLua(value.value as Table, left, depth);
  throw new UnfitValue('a function returned');
}

function textFromLua(value: TValue, left: Allowance): string {
  const bytes = (value.value as TString).realstring;
  left.bytes -= bytes.length;
  if (left.bytes < 0) throw new UnfitValue(`more than ${RESULT_BYTES_MAX} bytes returned`);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
}

/** The hash of a string is its bytes as characters, and that of a key is known: for ASCII it is the text. */
function nameFromLua(key: TValue, left: Allowance): string {
  const hash = hashOf(key) as string;
  if (hash.length > KNOWN_NAME_LENGTH_MAX || !plainAscii.test(hash)) return textFromLua(key, left);
  left.bytes -= hash.length;
  return hash;
}

function tableFromLua(table: Table, left: Allowance, depth: number): LuaValue {
  if (depth >= RESULT_DEPTH_MAX)
    throw new UnfitValue(`tables nested more than ${RESULT_DEPTH_MAX} deep returned`);
  const size = table.strong.size;
  if (size > 0 && tables.luaH_getn(table) === size) {
    return Array.from({ length: size }, (_, i) =>
      valueFromLua(table.strong.get(i + 1)?.value ?? NIL, left, depth + 1),
    );
  }
  // Without a prototype: a field named `__proto__` is a field like any other.
  const fields = Object.create(null) as Record<string, LuaValue>;
  for (const { key, value } of table.strong.values()) {
    if (value === undefined) continue;
    const name = key.ttisstring() ? nameFromLua(key, left) : String(key.value);
    if (key.ttistable() || key.ttisfunction())
      throw new UnfitValue('a table whose keys are no text returned');
    fields[name] = valueFromLua(value, left, depth + 1);
  }
  return fields;
}
