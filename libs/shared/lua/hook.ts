/**
 * User hooks: Lua of the operator's, compiled once at start-up, run many times. Each run gets its own globals; a script can change nothing
 * that a later run sees.
 *
 * How the event loop stays free: after each slice of work the count hook of the interpreter yields the Lua thread, which works also below
 * metamethods and in `pcall` because these are continuations in Lua 5.3; the rest of the run follows in later turns (`turns.ts`). fengari's
 * own library would not let go inside of a callback (`gsub`, `sort`, `tostring`) or a long function, so that library is not used: ours are
 * generators that can be left between two steps. The longest stretch that cannot be interrupted is one instruction on strings of at
 * most 1 MiB, or one match of at most 100,000 steps.
 */
import { systemClock, type Clock } from '@llmproxy/time';
import { api, auxiliary, bytesOf, objects } from './engine/engine.ts';
import {
  BudgetSpent,
  Meter,
  metered,
  SLICE_UNITS,
  type BudgetKind,
  type HookBudget,
} from './engine/meter.ts';
import type { LClosure, LuaState, Proto, Table, TString, TValue } from './engine/types.ts';
import { createEnvironment, type Environment } from './environment.ts';
import { Turns, type Sliced } from './turns.ts';
import { fromLua, newTable, setField, toLua, UnfitValue, type LuaValue } from './values.ts';

/** 1,000,000 instructions, 50 ms, 16 MiB. */
export const DEFAULT_BUDGET: HookBudget = { instructions: 1_000_000, timeMs: 50, memoryBytes: 16_777_216 };

/** How a run ended. `undefined`: the script returned nothing, as opposed to nil. The message is for the log, never for a client. */
export type LuaOutcome =
  | { readonly kind: 'returned'; readonly value: LuaValue | undefined }
  | { readonly kind: 'failed'; readonly reason: 'error' | BudgetKind; readonly message: string };

export interface HookOptions {
  /** What error messages call the script, for example its file. */
  name: string;
  /** What differs from `DEFAULT_BUDGET`. */
  budget?: Partial<HookBudget>;
  /** Where `log` and `print` of the script go: one line each. Must not throw. */
  log?: (message: string) => void;
  clock?: Clock;
}

export interface Hook {
  readonly name: string;
  /**
   * Runs the script with these global variables. The outcome comes at once when the script ends within its first slice (about half
   * a millisecond), else as a promise, which never rejects.
   */
  run(globals: Readonly<Record<string, unknown>>): LuaOutcome | Promise<LuaOutcome>;
}

/** The script is no Lua. */
export class LuaSyntaxError extends Error {
  override readonly name = 'LuaSyntaxError';
  /** Line in the script, from 1; undefined when the parser could not tell. */
  readonly line: number | undefined;

  constructor(message: string, line: number | undefined) {
    super(message);
    this.line = line;
  }
}

const LUA_CLOSURE = 6;

/** All hooks of the process share the turns of its event loop. */
const turns = new Turns(SLICE_UNITS);

/**
 * Compiles a script; for start-up, since a large one takes milliseconds.
 * @throws LuaSyntaxError
 */
export function compileHook(source: string, options: HookOptions): Hook {
  const clock = options.clock ?? systemClock;
  const environment = createEnvironment({ clock, log: options.log ?? (() => {}) });
  const proto = compile(environment.main, source, options.name);
  const budget = { ...DEFAULT_BUDGET, ...options.budget };
  return {
    name: options.name,
    run(globals) {
      const run = new Run(environment, proto, new Meter(budget, clock));
      return run.start(globals);
    },
  };
}

function compile(main: LuaState, source: string, name: string): Proto {
  const bytes = bytesOf(source);
  const status = auxiliary.luaL_loadbufferx(main, bytes, bytes.length, bytesOf(`=${name}`), bytesOf('t'));
  const result = main.stack[main.top - 1] as TValue;
  api.lua_pop(main, 1);
  if (status === api.LUA_OK) return (result.value as LClosure).p;
  const message = textOfError(result);
  const line = /:(\d+): /.exec(message.slice(Math.min(name.length, message.length)))?.[1];
  throw new LuaSyntaxError(message, line === undefined ? undefined : Number(line));
}

function textOfError(error: TValue | undefined): string {
  if (error?.ttisstring()) {
    return Buffer.from((error.value as TString).realstring.subarray(0, MESSAGE_BYTES_MAX)).toString('utf8');
  }
  return error?.ttisnumber() ? String(error.value) : 'error object is not a string';
}
const MESSAGE_BYTES_MAX = 1024;

/** One run, from its globals to its outcome. */
class Run implements Sliced {
  readonly #environment: Environment;
  readonly #proto: Proto;
  readonly #meter: Meter;
  #thread: LuaState | undefined;
  #globals: Readonly<Record<string, unknown>> = {};
  #outcome: LuaOutcome | undefined;
  #settle: ((outcome: LuaOutcome) => void) | undefined;

  constructor(environment: Environment, proto: Proto, meter: Meter) {
    this.#environment = environment;
    this.#proto = proto;
    this.#meter = meter;
  }

  get units(): number {
    return this.#meter.units;
  }

  start(globals: Readonly<Record<string, unknown>>): LuaOutcome | Promise<LuaOutcome> {
    this.#globals = globals;
    if (turns.start(this)) return this.#outcome as LuaOutcome;
    return new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  slice(units: number): boolean {
    try {
      this.#outcome = metered(this.#meter, () => {
        this.#meter.beginSlice(units);
        return this.#resume((this.#thread ??= this.#prepare()));
      });
    } catch (error) {
      // fengari answers an exception after a caught Lua error with a failed assertion of its own.
      this.#outcome = failure(this.#meter.spent ?? error);
    }
    this.#meter.endSlice();
    if (this.#outcome !== undefined) this.#settle?.(this.#outcome);
    return this.#outcome !== undefined;
  }

  /** A thread about to call the script with its own globals. */
  #prepare(): LuaState {
    const { main, globalsMetatable } = this.#environment;
    const thread = api.lua_newthread(main);
    api.lua_pop(main, 1);
    this.#meter.thread = thread;
    const closure = new objects.LClosure(thread, 1);
    closure.p = this.#proto;
    closure.upvals[0] = new objects.TValue(api.LUA_TTABLE, this.#globalsTable(thread, globalsMetatable));
    objects.pushobj2s(thread, new objects.TValue(LUA_CLOSURE, closure));
    return thread;
  }

  #globalsTable(thread: LuaState, metatable: Table): Table {
    const table = newTable(thread);
    for (const name of Object.keys(this.#globals)) {
      setField(thread, table, name, toLua(thread, this.#globals[name]));
    }
    setField(thread, table, '_G', new objects.TValue(api.LUA_TTABLE, table));
    table.metatable = metatable;
    return table;
  }

  /** @returns undefined when the slice ended before the script did */
  #resume(thread: LuaState): LuaOutcome | undefined {
    const status = api.lua_resume(thread, null, 0);
    if (status === api.LUA_YIELD) return undefined;
    if (this.#meter.spent !== undefined) return failure(this.#meter.spent);
    if (status === api.LUA_OK) {
      const first = api.lua_gettop(thread) === 0 ? undefined : thread.stack[thread.ci.funcOff + 1];
      return { kind: 'returned', value: first && fromLua(first) };
    }
    return { kind: 'failed', reason: 'error', message: textOfError(thread.stack[thread.top - 1]) };
  }
}

function failure(error: unknown): LuaOutcome {
  if (error instanceof BudgetSpent) return { kind: 'failed', reason: error.kind, message: error.message };
  if (error instanceof UnfitValue) return { kind: 'failed', reason: 'error', message: error.message };
  return { kind: 'failed', reason: 'error', message: `the interpreter failed: ${String(error)}` };
}
