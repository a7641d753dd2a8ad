/**
 * Strings of the interpreter, counted and with a usable hash. The other modules of fengari copy these functions when they are loaded, so
 * this one must be evaluated first.
 *
 * The original hash spells bytes in hexadecimal without leading zeros: "\x01#" and "\x12\x03" become the same table key, and one
 * megabyte takes 60 ms. Ours is the bytes as characters, which also sorts as bytes do.
 */
import './configure.ts';
import untyped from 'fengari/src/lstring.js';
import { meter } from './meter.ts';
import type { Bytes, LuaState, StringInternals, TString } from './types.ts';

export const strings = untyped as StringInternals;

const LONG_BYTES = 1024;

function hash(bytes: Bytes): string {
  return Buffer.prototype.latin1Slice.call(bytes, 0, bytes.length);
}

function hashOf(string: TString): string {
  const length = string.realstring.length;
  if (length > LONG_BYTES) meter.work(length >> 8);
  if (string.hash === null) {
    if (length > LONG_BYTES) meter.allocate(length);
    string.hash = hash(string.realstring);
  }
  return string.hash;
}

function bless(L: LuaState, bytes: Bytes): TString {
  meter.allocateString(bytes.length);
  return new strings.TString(L, bytes);
}

/** Same bytes? Long ones cost work, or a loop of comparisons would run for seconds between two looks at the clock. */
function equal(a: TString, b: TString): boolean {
  if (a === b) return true;
  const [x, y] = [a.realstring, b.realstring];
  const length = x.length;
  if (length !== y.length) return false;
  if (length > LONG_BYTES) {
    meter.work(length >> 8);
    return Buffer.compare(x, y) === 0;
  }
  for (let i = 0; i < length; i++) if (x[i] !== y[i]) return false;
  return true;
}

const encoder = new TextEncoder();

strings.luaS_hash = hash;
strings.luaS_hashlongstr = hashOf;
strings.luaS_eqlngstr = equal;
strings.luaS_bless = bless;
// `luaT_init` calls this one with `new`, so it cannot be a method or an arrow function.
strings.luaS_new = function luaS_new(L: LuaState, bytes: Bytes): TString {
  return bless(L, Uint8Array.prototype.slice.call(bytes));
};
strings.luaS_newliteral = (L, text) => bless(L, encoder.encode(text));
