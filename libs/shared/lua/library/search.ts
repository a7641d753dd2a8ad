/** `string.find`, `match`, `gmatch`, `gsub`: each can be interrupted between two starting positions and in its callbacks. */
import {
  api,
  auxiliary,
  badArgument,
  bytesOf,
  hashOf,
  integerArgument,
  objects,
  PAUSE,
  pushBytes,
  raise,
  runJob,
  stringArgument,
  type Job,
} from '../engine/engine.ts';
import { meter } from '../engine/meter.ts';
import type { Bytes, LuaFunction, LuaState, Table, TValue } from '../engine/types.ts';
import { isDigit } from '../core/character-class.ts';
import { Matcher, POSITION, STEPS_MAX } from '../core/pattern.ts';
import { ByteBuffer } from './byte-buffer.ts';

const [ESCAPE, CARET, ZERO] = [37, 94, 48];
const SPECIALS = new Set(bytesOf('^$*+?.([%-'));
const PATTERN_BYTES_MAX = 4096;

/** Steps of the matcher that take as long as one instruction. */
const STEPS_PER_UNIT = 4;

function matcherFor(L: LuaState, subject: Bytes, pattern: Bytes): Matcher {
  if (pattern.length > PATTERN_BYTES_MAX) raise(L, `pattern longer than ${PATTERN_BYTES_MAX} bytes`);
  return new Matcher(subject, pattern, {
    malformed: (message) => raise(L, message),
    tooLong: () => meter.stop('instructions', `one match took more than ${STEPS_MAX} steps`),
  });
}

function matchAt(matcher: Matcher, start: number): number {
  const end = matcher.matchAt(start);
  meter.work(1 + Math.floor(matcher.steps / STEPS_PER_UNIT));
  return end;
}

function slice(matcher: Matcher, start: number, end: number): Bytes {
  return Uint8Array.prototype.slice.call(matcher.subject, start, end);
}

/** Pushes capture number `index` (from 0); number 0 of a pattern without captures is the whole match. */
function pushCapture(L: LuaState, matcher: Matcher, index: number, match: readonly [number, number]): void {
  const capture = matcher.captures[index];
  if (index >= matcher.level || capture === undefined) {
    if (index !== 0) raise(L, `invalid capture index %${index + 1}`);
    pushBytes(L, slice(matcher, ...match));
  } else if (capture.length === POSITION) api.lua_pushnumber(L, capture.start + 1);
  else if (capture.length < 0) raise(L, 'unfinished capture');
  else pushBytes(L, slice(matcher, capture.start, capture.start + capture.length));
}

function pushCaptures(
  L: LuaState,
  matcher: Matcher,
  match: readonly [number, number],
  whole: boolean,
): number {
  const count = matcher.level === 0 && whole ? 1 : matcher.level;
  if (!api.lua_checkstack(L, count)) raise(L, 'too many captures');
  for (let i = 0; i < count; i++) pushCapture(L, matcher, i, match);
  return count;
}

/** Offset from 0 where to start; beyond the subject's end when there is nothing to look for. */
function startArgument(L: LuaState, length: number): number {
  const position = integerArgument(L, 3, 1);
  if (position > 0) return position - 1;
  return position === 0 || -position > length ? 0 : length + position;
}

function pushRange(L: LuaState, start: number, end: number): void {
  api.lua_pushnumber(L, start + 1);
  api.lua_pushnumber(L, end);
}

/** Starting positions of one step of a plain search: under a millisecond also for a pattern that nearly fits everywhere. */
const WINDOW_BYTES = 65_536;

function* findPlain(L: LuaState, subject: Bytes, what: Bytes, from: number): Job {
  const view = Buffer.from(subject.buffer, subject.byteOffset, subject.length);
  for (let start = from; start <= subject.length; start += WINDOW_BYTES) {
    const window = view.subarray(start, start + WINDOW_BYTES + what.length - 1);
    const at = what.length === 0 ? 0 : window.indexOf(what);
    if (at >= 0) {
      pushRange(L, start + at, start + at + what.length);
      return 2;
    }
    meter.work(1 + (window.length >> 4));
    if (meter.paused) yield PAUSE;
  }
  api.lua_pushnil(L);
  return 1;
}

function* search(
  L: LuaState,
  matcher: Matcher,
  from: { start: number; anchored: boolean; find: boolean },
): Job {
  for (let start = from.start; start <= matcher.subject.length; start++) {
    const end = matchAt(matcher, start);
    if (end >= 0) {
      if (!from.find) return pushCaptures(L, matcher, [start, end], true);
      pushRange(L, start, end);
      return 2 + pushCaptures(L, matcher, [start, end], false);
    }
    if (from.anchored) break;
    if (meter.paused) yield PAUSE;
  }
  api.lua_pushnil(L);
  return 1;
}

function isPlain(pattern: Bytes): boolean {
  return pattern.length <= PATTERN_BYTES_MAX && !pattern.some((byte) => SPECIALS.has(byte));
}

function searching(find: boolean): LuaFunction {
  return (L) => {
    const subject = stringArgument(L, 1);
    const pattern = stringArgument(L, 2);
    const start = startArgument(L, subject.length);
    if (start > subject.length) {
      api.lua_pushnil(L);
      return 1;
    }
    if (find && (api.lua_toboolean(L, 4) || isPlain(pattern))) {
      return runJob(L, findPlain(L, subject, pattern, start));
    }
    const anchored = pattern[0] === CARET;
    const matcher = matcherFor(L, subject, anchored ? pattern.subarray(1) : pattern);
    return runJob(L, search(L, matcher, { start, anchored, find }));
  };
}

function* nextMatch(L: LuaState, matcher: Matcher, state: { at: number; lastEnd: number }): Job {
  for (let start = state.at; start <= matcher.subject.length; start++) {
    const end = matchAt(matcher, start);
    if (end >= 0 && end !== state.lastEnd) {
      state.at = state.lastEnd = end;
      return pushCaptures(L, matcher, [start, end], true);
    }
    if (meter.paused) yield PAUSE;
  }
  state.at = matcher.subject.length + 1;
  return 0;
}

function gmatch(L: LuaState): number {
  const matcher = matcherFor(L, stringArgument(L, 1), stringArgument(L, 2));
  const state = { at: 0, lastEnd: -1 };
  meter.allocate(ITERATOR_BYTES);
  const iterate: LuaFunction = (caller) => runJob(caller, nextMatch(caller, matcher, state));
  objects.pushobj2s(L, new objects.TValue(LIGHT_FUNCTION, iterate));
  return 1;
}
const ITERATOR_BYTES = 400;
/** Type tag of a function without upvalues: LUA_TFUNCTION with variant 1. */
const LIGHT_FUNCTION = 6 | (1 << 4);

/** The replacement string with its `%0`–`%9` filled in. */
function addTemplate(
  L: LuaState,
  matcher: Matcher,
  into: ByteBuffer,
  match: readonly [number, number],
): void {
  const template = api.lua_tostring(L, 3);
  meter.work(template.length >> 3);
  for (let i = 0; i < template.length; i++) {
    const byte = template[i] as number;
    if (byte !== ESCAPE) {
      into.addByte(byte);
      continue;
    }
    const code = template[++i] ?? 0;
    if (code === ESCAPE) into.addByte(ESCAPE);
    else if (!isDigit(code)) raise(L, "invalid use of '%' in replacement string");
    else if (code === ZERO) into.add(slice(matcher, ...match));
    else {
      pushCapture(L, matcher, code - ZERO - 1, match);
      into.add(api.lua_tostring(L, -1));
      api.lua_pop(L, 1);
    }
  }
}

/** Adds what the script's table or function gave for a match, which is on top of the stack: nil and false keep the match. */
function addGiven(L: LuaState, matcher: Matcher, into: ByteBuffer, match: readonly [number, number]): void {
  if (!api.lua_toboolean(L, -1)) into.add(slice(matcher, ...match));
  else if (api.lua_isstring(L, -1)) into.add(api.lua_tostring(L, -1));
  else {
    const type = Buffer.from(auxiliary.luaL_typename(L, -1)).toString();
    raise(L, `invalid replacement value (a ${type})`);
  }
  api.lua_pop(L, 1);
}

function pushFromTable(L: LuaState): void {
  const key = L.stack[L.top - 1] as TValue;
  const value = (api.lua_topointer(L, 3) as Table).strong.get(hashOf(key))?.value;
  api.lua_pop(L, 1);
  if (value === undefined) api.lua_pushnil(L);
  else objects.pushobj2s(L, value);
}

function* substitute(L: LuaState, matcher: Matcher, limits: { max: number; anchored: boolean }): Job {
  const kind = api.lua_type(L, 3);
  const into = new ByteBuffer();
  let [at, lastEnd, count] = [0, -1, 0];
  while (count < limits.max) {
    const end = matchAt(matcher, at);
    if (end >= 0 && end !== lastEnd) {
      count++;
      const match = [at, end] as const;
      if (kind === api.LUA_TFUNCTION) {
        api.lua_pushvalue(L, 3);
        yield pushCaptures(L, matcher, match, true);
        addGiven(L, matcher, into, match);
      } else if (kind === api.LUA_TTABLE) {
        pushCapture(L, matcher, 0, match);
        pushFromTable(L);
        addGiven(L, matcher, into, match);
      } else addTemplate(L, matcher, into, match);
      at = lastEnd = end;
    } else if (at < matcher.subject.length) into.addByte(matcher.subject[at++] as number);
    else break;
    if (limits.anchored) break;
    if (meter.paused) yield PAUSE;
  }
  into.add(matcher.subject.subarray(at));
  pushBytes(L, into.take());
  api.lua_pushnumber(L, count);
  return 2;
}

function gsub(L: LuaState): number {
  const subject = stringArgument(L, 1);
  const pattern = stringArgument(L, 2);
  const kind = api.lua_type(L, 3);
  const kinds = [api.LUA_TNUMBER, api.LUA_TSTRING, api.LUA_TFUNCTION, api.LUA_TTABLE];
  if (!kinds.includes(kind)) badArgument(L, 3, 'string/function/table expected');
  const max = integerArgument(L, 4, subject.length + 1);
  const anchored = pattern[0] === CARET;
  api.lua_settop(L, 4);
  const matcher = matcherFor(L, subject, anchored ? pattern.subarray(1) : pattern);
  return runJob(L, substitute(L, matcher, { max, anchored }));
}

export const searchFunctions: Readonly<Record<string, LuaFunction>> = {
  find: searching(true),
  match: searching(false),
  gmatch,
  gsub,
};
