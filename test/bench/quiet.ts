/** How undisturbed a run was: CPU time of the machine that was not the bench's own. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { cpuMicros, processTree } from './proc.ts';

/** Shares of the machine's CPU time, 0 to 1. */
export interface Disturbance {
  /** Used by processes that are not part of the bench. */
  readonly others: number;
  /** Taken away by the hypervisor. */
  readonly stolen: number;
}

/** More than this and a run says so: the numbers are then those of a crowded machine. */
export const disturbedMin = 0.05;

const tickMicros = 10_000;

function machine(): { readonly busy: number; readonly stolen: number } {
  const line = readFileSync('/proc/stat', 'latin1').split('\n', 1)[0] ?? '';
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, stolen = 0] = line
    .split(/\s+/)
    .slice(1)
    .map((ticks) => Number(ticks) * tickMicros);
  return { busy: user + nice + system + irq + softirq, stolen };
}

const own = (): number => cpuMicros(processTree(process.pid));

/** Starts to watch; the returned function tells what happened since. All processes of the bench must outlive it. */
export function watchDisturbance(): () => Disturbance {
  const before = { machine: machine(), own: own(), atMs: performance.now() };
  return () => {
    const now = machine();
    const capacity = (performance.now() - before.atMs) * 1000 * availableParallelism();
    const others = now.busy - before.machine.busy - (own() - before.own);
    return {
      others: Math.max(0, others / capacity),
      stolen: (now.stolen - before.machine.stolen) / capacity,
    };
  };
}

/** Windows that were measured, and those of them that were measured again. */
export interface Windows {
  readonly measured: number;
  readonly repeated: number;
  /** The largest share of the machine that the hypervisor took in one that was kept. */
  readonly stolen: number;
}

/** More than this, and the slowest 1 % of a window are those that waited for a processor that was away. */
export const stolenMax = 0.02;
export const triesMax = 5;

/** Measures until the hypervisor left the machine alone, a few times at most; the quietest window is kept. */
export class QuietWindows {
  #windows: Windows = { measured: 0, repeated: 0, stolen: 0 };

  get counts(): Windows {
    return this.#windows;
  }

  async quietest<T>(measure: () => Promise<T>): Promise<T> {
    let best: { readonly result: T; readonly stolen: number } | undefined;
    let tries = 0;
    while (tries < triesMax && (best === undefined || best.stolen > stolenMax)) {
      tries += 1;
      const disturbanceSince = watchDisturbance();
      const result = await measure();
      const { stolen } = disturbanceSince();
      if (best === undefined || stolen < best.stolen) best = { result, stolen };
    }
    const { result, stolen } = best as { result: T; stolen: number };
    const before = this.#windows;
    this.#windows = {
      measured: before.measured + 1,
      repeated: before.repeated + (tries > 1 ? 1 : 0),
      stolen: Math.max(before.stolen, stolen),
    };
    return result;
  }
}
