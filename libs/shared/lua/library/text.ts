/** `string`: the functions whose work is their length. The ones with patterns are in `search.ts`, `format` is in `format.ts`. */
import {
  badArgument,
  api,
  integerArgument,
  PAUSE,
  pushBytes,
  raise,
  runJob,
  stringArgument,
  type Job,
} from '../engine/engine.ts';
import { meter } from '../engine/meter.ts';
import type { Bytes, LuaFunction, LuaState } from '../engine/types.ts';

/** Most values that `string.byte` and `table.unpack` return. */
export const RESULTS_MAX = 4000;

const EMPTY = new Uint8Array();

/** A position from the script, where negative counts from the end, as an offset from 1 that may lie outside. */
function positionArgument(L: LuaState, argument: number, length: number, missing?: number): number {
  const position = integerArgument(L, argument, missing);
  return position >= 0 ? position : Math.max(0, length + position + 1);
}

function sub(L: LuaState): number {
  const text = stringArgument(L, 1);
  const start = Math.max(1, positionArgument(L, 2, text.length));
  const end = Math.min(text.length, positionArgument(L, 3, text.length, -1));
  if (start > end) pushBytes(L, EMPTY);
  else {
    meter.work((end - start) >> 8);
    pushBytes(L, Uint8Array.prototype.slice.call(text, start - 1, end));
  }
  return 1;
}

function len(L: LuaState): number {
  api.lua_pushnumber(L, stringArgument(L, 1).length);
  return 1;
}

function byte(L: LuaState): number {
  const text = stringArgument(L, 1);
  const first = positionArgument(L, 2, text.length, 1);
  const start = Math.max(1, first);
  const end = Math.min(text.length, positionArgument(L, 3, text.length, first));
  const count = end - start + 1;
  if (count <= 0) return 0;
  if (count > RESULTS_MAX || !api.lua_checkstack(L, count)) raise(L, 'string slice too long');
  meter.work(count);
  for (let i = start; i <= end; i++) api.lua_pushnumber(L, text[i - 1] as number);
  return count;
}

function char(L: LuaState): number {
  const bytes = new Uint8Array(api.lua_gettop(L));
  meter.work(bytes.length);
  for (let i = 0; i < bytes.length; i++) {
    const code = integerArgument(L, i + 1);
    if (code < 0 || code > 255) badArgument(L, i + 1, 'value out of range');
    bytes[i] = code;
  }
  pushBytes(L, bytes);
  return 1;
}

/** Bytes changed between two places where a long string can be left. */
const CHUNK_BYTES = 16_384;

const mapped = (change: (byte: number) => number): LuaFunction => {
  const changed = Uint8Array.from({ length: 256 }, (_, byte) => change(byte));
  function* mapping(L: LuaState, text: Bytes): Job {
    const result = new Uint8Array(text.length);
    for (let at = 0; at < text.length;) {
      const end = Math.min(text.length, at + CHUNK_BYTES);
      meter.work((end - at) >> 4);
      for (; at < end; at++) result[at] = changed[text[at] as number] as number;
      if (meter.paused) yield PAUSE;
    }
    pushBytes(L, result);
    return 1;
  }
  return (L) => runJob(L, mapping(L, stringArgument(L, 1)));
};

function reverse(L: LuaState): number {
  const text = stringArgument(L, 1);
  meter.work(text.length >> 6);
  pushBytes(L, Uint8Array.prototype.slice.call(text).reverse());
  return 1;
}

/** Length first: nothing is made that could not be kept. */
function rep(L: LuaState): number {
  const text = stringArgument(L, 1);
  const count = integerArgument(L, 2);
  const separator = api.lua_isnoneornil(L, 3) ? EMPTY : stringArgument(L, 3);
  const length = count <= 0 ? 0 : count * text.length + (count - 1) * separator.length;
  if (length === 0) {
    pushBytes(L, EMPTY);
    return 1;
  }
  meter.allocateString(length);
  meter.work(length >> 6);
  const result = new Uint8Array(length);
  result.set(text);
  const period = text.length + separator.length;
  if (period < length) result.set(separator, text.length);
  for (let filled = period; filled < length; filled *= 2) result.copyWithin(filled, 0, length - filled);
  pushBytes(L, result);
  return 1;
}

export const textFunctions: Readonly<Record<string, LuaFunction>> = {
  sub,
  len,
  byte,
  char,
  reverse,
  rep,
  lower: mapped((c) => (c >= 65 && c <= 90 ? c + 32 : c)),
  upper: mapped((c) => (c >= 97 && c <= 122 ? c - 32 : c)),
};
