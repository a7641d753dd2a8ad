/** Which process is meant, also after its number was given to another one. */
import { readFileSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot when it started; empty where the system does not tell. */
  readonly started: string;
}

/** Stands for a process that only waits for its parent to take note of its end. */
const ended = 'ended';

export function identify(pid: number): ProcessIdentity {
  return { pid, started: startTicks(pid) };
}

/** Whether that very process, not a later one of the same number, is running. */
export function isRunning(one: ProcessIdentity): boolean {
  try {
    process.kill(one.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const started = startTicks(one.pid);
  return started !== ended && started === one.started;
}

function startTicks(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const afterName = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state = 'X', started = ''] = [afterName[0], afterName[19]];
    return state === 'Z' || state === 'X' ? ended : started;
  } catch {
    return '';
  }
}
