/** `string.format`: the conversions of Lua 5.3 except `%a`. It never calls `__tostring`: use `tostring(value)`. */
import { api, auxiliary, badArgument, bytesOf, pushBytes, raise, stringArgument } from '../engine/engine.ts';
import { meter } from '../engine/meter.ts';
import type { Bytes, LuaFunction, LuaState } from '../engine/types.ts';
import { isControl, isDigit } from '../core/character-class.ts';
import { formatFloat, formatInteger, pad, readConversion, type Conversion } from '../core/format-number.ts';
import { ByteBuffer } from './byte-buffer.ts';
import { textOf } from './plain-text.ts';

const FORMAT_BYTES_MAX = 4096;
/** Longest string that can have a width or precision; longer ones are for `%s` alone. */
const PADDED_BYTES_MAX = 4096;
const QUOTED_BYTES_MAX = 16_384;
/** What one number costs: formatting takes about as long as this many instructions. */
const UNITS_PER_ITEM = 10;
const [PERCENT, QUOTE, BACKSLASH, NEWLINE] = [37, 34, 92, 10];

function quoted(text: Bytes): Bytes {
  const buffer = new ByteBuffer();
  buffer.addByte(QUOTE);
  for (let i = 0; i < text.length; i++) {
    const byte = text[i] as number;
    if (byte === QUOTE || byte === BACKSLASH || byte === NEWLINE) {
      buffer.addByte(BACKSLASH);
      buffer.addByte(byte);
    } else if (isControl(byte)) {
      const digits = isDigit(text[i + 1] ?? 0) ? 3 : 0;
      buffer.add(bytesOf(`\\${String(byte).padStart(digits, '0')}`));
    } else buffer.addByte(byte);
  }
  buffer.addByte(QUOTE);
  return buffer.take();
}

function literal(L: LuaState, argument: number): Bytes {
  const type = api.lua_type(L, argument);
  if (type === api.LUA_TSTRING) {
    const text = api.lua_tostring(L, argument);
    if (text.length > QUOTED_BYTES_MAX) badArgument(L, argument, 'string too long for %q');
    meter.work(text.length >> 2);
    return quoted(text);
  }
  if (![api.LUA_TNUMBER, api.LUA_TNIL, api.LUA_TBOOLEAN].includes(type)) {
    badArgument(L, argument, 'value has no literal form');
  }
  return textOf(L, argument);
}

function formatString(L: LuaState, argument: number, conversion: Conversion): Bytes {
  const text = textOf(L, argument);
  const { width, precision } = conversion;
  if (width === 0 && precision === undefined) return text;
  const shown = precision === undefined ? text : text.subarray(0, precision);
  if (shown.length > PADDED_BYTES_MAX) return shown;
  return Buffer.from(pad(Buffer.from(shown).toString('latin1'), conversion, false), 'latin1');
}

function formatItem(L: LuaState, argument: number, conversion: Conversion): Bytes {
  const { letter } = conversion;
  if (letter === 's') return formatString(L, argument, conversion);
  if (letter === 'q') return literal(L, argument);
  const value = auxiliary.luaL_checknumber(L, argument);
  if ('eEfFgG'.includes(letter)) return bytesOf(formatFloat(value, conversion));
  if (!Number.isInteger(value)) badArgument(L, argument, 'number has no integer representation');
  return letter === 'c' ? Uint8Array.of(value & 255) : bytesOf(formatInteger(value, conversion));
}

function format(L: LuaState): number {
  const template = stringArgument(L, 1);
  if (template.length > FORMAT_BYTES_MAX) raise(L, `format longer than ${FORMAT_BYTES_MAX} bytes`);
  const arguments_ = api.lua_gettop(L);
  const buffer = new ByteBuffer();
  meter.work(template.length >> 3);
  let argument = 1;
  for (let i = 0; i < template.length;) {
    const byte = template[i++] as number;
    if (byte !== PERCENT) buffer.addByte(byte);
    else if (template[i] === PERCENT) buffer.addByte(template[i++] as number);
    else {
      const specification = Buffer.from(template.subarray(i, i + 16)).toString('latin1');
      const read = readConversion(specification);
      if (read === undefined || !'diuoxXceEfFgGsq'.includes(read.conversion.letter)) {
        return raise(L, `invalid conversion '%${specification.slice(0, 4)}' to 'format'`);
      }
      if (++argument > arguments_) badArgument(L, argument, 'no value');
      meter.work(UNITS_PER_ITEM);
      buffer.add(formatItem(L, argument, read.conversion));
      i += read.length;
    }
  }
  pushBytes(L, buffer.take());
  return 1;
}

export const formatFunctions: Readonly<Record<string, LuaFunction>> = { format };
