/** CPU time and memory of process trees, read from /proc (Linux only). */
import { readdirSync, readFileSync } from 'node:fs';

/** Length of one clock tick of /proc/<pid>/stat: USER_HZ is 100 on every Linux that Node runs on. */
const tickMicros = 10_000;

/** Fields of /proc/<pid>/stat from the third on; the second, the command, may itself hold blanks and brackets. */
function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined; // the process has ended
  }
}

/** The process and all its descendants at this moment; empty when it has ended. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    const parent = Number.isInteger(pid) ? statFields(pid)?.[1] : undefined;
    if (parent === undefined) continue;
    const siblings = children.get(Number(parent));
    if (siblings === undefined) children.set(Number(parent), [pid]);
    else siblings.push(pid);
  }
  if (statFields(root) === undefined) return [];
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

/**
 * CPU time used so far by these processes, user and system, all threads, in microseconds.
 * Steps of 10,000 µs: measure windows of seconds. A process that has ended counts 0, so read a stable tree.
 */
export function cpuMicros(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const fields = statFields(pid);
    ticks += Number(fields?.[11] ?? 0) + Number(fields?.[12] ?? 0);
  }
  return ticks * tickMicros;
}

const lineKb = (text: string, name: string): number | undefined => {
  const kb = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1];
  return kb === undefined ? undefined : Number(kb);
};

/**
 * Resident memory of these processes in bytes: the sum of their Pss, in which a page shared by n processes counts
 * 1/n in each, so that the code pages of forked workers are not counted twice.
 */
export function residentBytes(pids: readonly number[]): number {
  let kb = 0;
  for (const pid of pids) {
    try {
      kb += lineKb(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'), 'Pss') ?? 0;
    } catch {
      continue; // the process has ended
    }
  }
  return kb * 1024;
}

/**
 * Memory of this process that is nobody else's: heap, stacks and buffers, without the pages of files. Those of the program
 * are shared with every other Node that runs, so that their share in `residentBytes` changes when one of them ends.
 */
export function anonymousBytes(pid: number): number {
  return (lineKb(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'), 'Anonymous') ?? Number.NaN) * 1024;
}

/** Most open files a process may have (the hard limit). */
export function openFilesMax(): number {
  const limit = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
  return limit === undefined || limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit);
}
