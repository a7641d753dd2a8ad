/**
 * What one run of a hook may still spend, and whether it has to give the event loop back.
 *
 * Work is counted in units: one instruction of the interpreter, or library work that takes about as long. Memory is the sum of all
 * allocations of the run; nothing is taken off when a value dies, so the sum is a bound whatever the collector does.
 */
import type { Clock } from '@llmproxy/time';
import type { LuaState } from './types.ts';

/** Most that one run may use. All finite and positive. */
export interface HookBudget {
  /** Instructions of the interpreter, and library work in their measure. */
  instructions: number;
  /** Milliseconds that it runs. Waiting for its turn is not among them: a hook must not pay for the others. */
  timeMs: number;
  /** Bytes allocated over the whole run, input and result included. */
  memoryBytes: number;
}

export type BudgetKind = 'instructions' | 'time' | 'memory';

/** Longest single string a hook may make or be given, bytes: the longest stretch of one instruction depends on it. */
export const STRING_BYTES_MAX = 1_048_576;
/** What an entry of a table takes: its links, key, value, and its place in the map. */
export const ENTRY_BYTES = 200;
/** Units between two looks at the clock. */
export const CHECK_EVERY = 256;
/** Units of one slice: about half a millisecond, see `lua.bench.ts`. */
export const SLICE_UNITS = 16_000;
/** A slice also ends after this many milliseconds, on a machine slower than expected. */
const SLICE_MS = 1;

/** Leaves the interpreter at once: it is not a Lua error, so no `pcall` of the script can hold it. */
export class BudgetSpent extends Error {
  override readonly name = 'BudgetSpent';
  readonly kind: BudgetKind;

  constructor(kind: BudgetKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

export class Meter {
  /** The thread whose instruction hook is to fire soon once the slice is over. */
  thread: LuaState | undefined;
  /** Set when the slice is over: whoever can yield should. */
  paused = false;
  units = 0;
  /** Lines logged by the script. */
  lines = 0;
  /** Why the run was stopped, once it was. */
  spent: BudgetSpent | undefined;

  readonly #budget: HookBudget;
  readonly #clock: Clock;
  /** Time that earlier slices took. */
  #usedMs = 0;
  #sliceStartMs = 0;
  #bytes = 0;
  #nextCheck = 0;
  #sliceEnd = Infinity;
  #sliceEndMs = Infinity;

  constructor(budget: HookBudget, clock: Clock) {
    this.#budget = budget;
    this.#clock = clock;
  }

  /** Starts a slice of at most `units`. @throws BudgetSpent */
  beginSlice(units: number): void {
    this.paused = false;
    this.#sliceEnd = this.units + units;
    this.#sliceEndMs = Infinity;
    this.#sliceStartMs = this.#clock.monotonic();
    this.#check();
    this.#sliceEndMs = this.#sliceStartMs + SLICE_MS;
  }

  endSlice(): void {
    this.#usedMs += this.#clock.monotonic() - this.#sliceStartMs;
  }

  /** Counts work done or about to be done. @throws BudgetSpent */
  work(units: number): void {
    this.units += units;
    if (this.units >= this.#nextCheck) this.#check();
  }

  /** Counts bytes allocated or about to be. @throws BudgetSpent */
  allocate(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#budget.memoryBytes) {
      this.stop('memory', `more than ${this.#budget.memoryBytes} bytes allocated`);
    }
  }

  /** Counts a string about to be made. @throws BudgetSpent when it is too long, too */
  allocateString(bytes: number): void {
    if (bytes > STRING_BYTES_MAX) this.stop('memory', `a string longer than ${STRING_BYTES_MAX} bytes`);
    this.allocate(bytes + STRING_OVERHEAD_BYTES);
    if (bytes > LONG_STRING_BYTES) this.work(bytes >> 8);
  }

  /** Ends the run. */
  stop(kind: BudgetKind, message: string): never {
    this.spent ??= new BudgetSpent(kind, message);
    throw this.spent;
  }

  #check(): void {
    const { instructions, timeMs } = this.#budget;
    if (this.units > instructions) this.stop('instructions', `more than ${instructions} instructions`);
    const nowMs = this.#clock.monotonic();
    if (this.#usedMs + nowMs - this.#sliceStartMs > timeMs) this.stop('time', `more than ${timeMs} ms`);
    if (this.units >= this.#sliceEnd || nowMs >= this.#sliceEndMs) {
      this.paused = true;
      if (this.thread !== undefined) this.thread.hookcount = 1;
    }
    this.#nextCheck = this.units + CHECK_EVERY;
  }
}

const STRING_OVERHEAD_BYTES = 120;
const LONG_STRING_BYTES = 1024;

const UNLIMITED: HookBudget = { instructions: Infinity, timeMs: Infinity, memoryBytes: Infinity };

/** Pays for what no run asked for: the library itself, and the compilation of hooks, which come from the configuration. */
const unmetered = new Meter(UNLIMITED, { now: () => 0, monotonic: () => 0 });

/** Who pays for what the interpreter does now. One at a time: the interpreter never waits inside. */
export let meter: Meter = unmetered;

/** Lets `payer` pay for everything `act` does. */
export function metered<Result>(payer: Meter, act: () => Result): Result {
  meter = payer;
  try {
    return act();
  } finally {
    meter = unmetered;
  }
}
