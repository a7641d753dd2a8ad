/** The parts of fengari 0.1.5 that the sandbox uses, as they are. Its sources are the reference: it has no types. */

/** Bytes of a Lua string. Never changed once it is inside a `TString`. */
export type Bytes = Uint8Array;

export interface TString {
  hash: string | null;
  realstring: Bytes;
}

export interface TValue {
  type: number;
  value: unknown;
  ttisnil(): boolean;
  ttisstring(): boolean;
  ttisnumber(): boolean;
  ttisinteger(): boolean;
  ttistable(): boolean;
  ttisfunction(): boolean;
  ttisboolean(): boolean;
  ttisdeadkey(): boolean;
  setfltvalue(value: number): void;
  setivalue(value: number): void;
}

export interface Entry {
  key: TValue;
  value: TValue | undefined;
  /** The entry before this one. */
  p: Entry | undefined;
  /** The entry after this one, also once this one is dead. */
  n: Entry | undefined;
}

export interface Table {
  strong: Map<unknown, Entry>;
  dead_strong: Map<unknown, Entry>;
  dead_weak: WeakMap<object, Entry> | undefined;
  /** First and last entry. */
  f: Entry | undefined;
  l: Entry | undefined;
  metatable: Table | null;
  /** Which metamethods are known to be missing; 0: none. */
  flags: number;
  /** Ours: set on the tables of the library, which all runs share. */
  frozen?: true;
}

export interface Instruction {
  opcode: number;
  A: number;
  B: number;
  C: number;
  Bx: number;
}

export interface Proto {
  p: Proto[];
  upvalues: unknown[];
}

export interface LClosure {
  p: Proto;
  upvals: TValue[];
}

export interface CallInfo {
  funcOff: number;
  func: TValue;
  l_base: number;
  l_code: Instruction[];
  l_savedpc: number;
}

/** A Lua thread. */
export interface LuaState {
  stack: TValue[];
  top: number;
  ci: CallInfo;
  hookcount: number;
  /** 0 while the count hook is switched off. */
  allowhook: number;
  /** What all threads share; `mt` holds the metatables of types. */
  l_G: { mt: (Table | undefined)[] };
}

/** A function of the library: arguments on the stack, pushes its results and returns how many. */
export type LuaFunction = (L: LuaState) => number;
/** What runs in place of the rest of a library function when the call it made had to be given up in between. */
export type Continuation<Context> = (L: LuaState, status: number, context: Context) => number;

export interface StringInternals {
  TString: new (L: LuaState, bytes: Bytes) => TString;
  luaS_bless(L: LuaState, bytes: Bytes): TString;
  luaS_new(L: LuaState, bytes: Bytes): TString;
  luaS_newliteral(L: LuaState, text: string): TString;
  luaS_eqlngstr(a: TString, b: TString): boolean;
  luaS_hash(bytes: Bytes): string;
  luaS_hashlongstr(string: TString): string;
}

export interface ObjectInternals {
  TValue: (new (type: number, value: unknown) => TValue) & { prototype: TValue };
  LClosure: new (L: LuaState, upvalues: number) => LClosure;
  luaO_str2num(bytes: Bytes, result: TValue): number;
  pushsvalue2s(L: LuaState, string: TString): void;
  pushobj2s(L: LuaState, value: TValue): void;
}

export interface TableInternals {
  luaH_new(L: LuaState): Table;
  luaH_setfrom(L: LuaState, table: Table, key: TValue, value: TValue): void;
  luaH_setint(table: Table, key: number, value: TValue): void;
  luaH_getn(table: Table): number;
}

export interface DebugInternals {
  luaG_traceexec(L: LuaState): void;
  luaG_runerror(L: LuaState, format: Bytes): never;
}

export interface TagMethodInternals {
  fasttm(L: LuaState, metatable: Table | null, event: number): TValue | null;
}

/** `lua.js`: the C API of Lua 5.3, name by name. */
export interface Api {
  LUA_MASKCOUNT: number;
  LUA_MULTRET: number;
  LUA_OK: number;
  LUA_YIELD: number;
  LUA_TNONE: number;
  LUA_TNIL: number;
  LUA_TBOOLEAN: number;
  LUA_TNUMBER: number;
  LUA_TSTRING: number;
  LUA_TTABLE: number;
  LUA_TFUNCTION: number;
  lua_callk<C>(L: LuaState, args: number, results: number, context: C, after: Continuation<C>): void;
  lua_checkstack(L: LuaState, slots: number): boolean;
  lua_gettop(L: LuaState): number;
  lua_insert(L: LuaState, index: number): void;
  lua_isnoneornil(L: LuaState, index: number): boolean;
  lua_isstring(L: LuaState, index: number): boolean;
  lua_isyieldable(L: LuaState): boolean;
  lua_newstate(): LuaState;
  lua_newthread(L: LuaState): LuaState;
  lua_pcallk<C>(
    L: LuaState,
    args: number,
    results: number,
    handler: number,
    context: C,
    after: Continuation<C>,
  ): number;
  lua_pop(L: LuaState, count: number): void;
  lua_pushboolean(L: LuaState, value: boolean): void;
  lua_pushinteger(L: LuaState, value: number): void;
  lua_pushnil(L: LuaState): void;
  lua_pushnumber(L: LuaState, value: number): void;
  lua_pushvalue(L: LuaState, index: number): void;
  lua_resume(L: LuaState, from: LuaState | null, args: number): number;
  lua_rotate(L: LuaState, index: number, by: number): void;
  lua_sethook(L: LuaState, hook: (L: LuaState) => void, mask: number, count: number): void;
  lua_settop(L: LuaState, index: number): void;
  lua_toboolean(L: LuaState, index: number): boolean;
  lua_tonumber(L: LuaState, index: number): number;
  lua_topointer(L: LuaState, index: number): unknown;
  lua_tostring(L: LuaState, index: number): Bytes;
  lua_type(L: LuaState, index: number): number;
  lua_yield(L: LuaState, results: number): number;
  lua_yieldk<C>(L: LuaState, results: number, context: C, after: Continuation<C>): number;
}

/** `lauxlib.js`. What checks an argument throws a Lua error, so these come back only with a good one. */
export interface Auxiliary {
  luaL_argerror(L: LuaState, argument: number, message: Bytes): never;
  luaL_checkany(L: LuaState, argument: number): void;
  luaL_checknumber(L: LuaState, argument: number): number;
  luaL_checkstring(L: LuaState, argument: number): Bytes;
  luaL_checktype(L: LuaState, argument: number, type: number): void;
  luaL_error(L: LuaState, format: Bytes): never;
  luaL_getmetafield(L: LuaState, index: number, name: Bytes): number;
  luaL_loadbufferx(L: LuaState, source: Bytes, size: number, name: Bytes, mode: Bytes): number;
  luaL_requiref(L: LuaState, name: Bytes, open: LuaFunction, global: number): void;
  luaL_tolstring(L: LuaState, index: number): Bytes;
  luaL_typename(L: LuaState, index: number): Bytes;
}
