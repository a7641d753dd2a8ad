/** `string`: the functions whose work is their length. The ones with patterns are in `search.ts`, `format` is in `format.ts`. */
import { badArgument, api, integerArgument, pushBytes, raise, stringArgument } from '../engine/engine.ts';
import { meter } from '../engine/meter.ts';
import type { Bytes, LuaFunction, LuaState } from '../engine/types.ts';

/** Most values that `string.byte` and `table.unpack` return. */
export const RESULTS_MAX = 8000;

const EMPTY = new Uint8Array();

/** A position from the script, where negative counts from the end, as an offset from 1 that may lie outside. */
function positionArgument(L: LuaState, argument: number, length: number, missing?: number): number {
  const position = integerArgument(L, argument, missing);
  return position >= 0 ? position : Math.max(0, length + position + 1);
}

/** The work of going through bytes once, eight of them about as long as one instruction. */
function payFor(bytes: Bytes): void {
  meter.work(bytes.length >> 3);
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

const mapped =
  (change: (byte: number) => number): LuaFunction =>
  (L) => {
    const text = stringArgument(L, 1);
    payFor(text);
    const result = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) result[i] = change(text[i] as number);
    pushBytes(L, result);
    return 1;
  };

function reverse(L: LuaState): number {
  const text = stringArgument(L, 1);
  payFor(text);
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
  meter.work(length >> 3);
  const result = new Uint8Array(length);
  for (let at = 0; at < length; at += text.length + separator.length) {
    result.set(text, at);
    if (at + text.length < length) result.set(separator, at + text.length);
  }
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
