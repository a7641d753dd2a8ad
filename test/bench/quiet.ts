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
