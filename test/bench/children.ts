/** Processes started by the bench: all of them end with it, whatever happens. */
import { spawn } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { processTree } from './proc.ts';

const termGraceMs = 5_000;

/** The children that are still running. */
export class Children {
  readonly #running = new Set<ChildProcess>();
  readonly #stops: (() => Promise<void>)[] = [];

  /** @throws Error (through the `error` event of the child) when the command cannot be started */
  spawn(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'], ...options });
    this.#running.add(child);
    child.on('exit', () => this.#running.delete(child));
    return child;
  }

  /** Starts a TypeScript file on this Node with an IPC channel. */
  fork(file: URL, args: readonly string[] = []): ChildProcess {
    return this.spawn(process.execPath, [file.pathname, ...args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
  }

  /** SIGTERM, then SIGKILL to whatever of its tree is left after five seconds. */
  async end(child: ChildProcess): Promise<void> {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const tree = processTree(child.pid);
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    const late = setTimeout(() => tree.forEach(killNow), termGraceMs);
    await exited;
    clearTimeout(late);
  }

  /** Something else to stop after the children. */
  alsoStop(stop: () => Promise<void>): void {
    this.#stops.push(stop);
  }

  async endAll(): Promise<void> {
    await Promise.all([...this.#running].map((child) => this.end(child)));
    await Promise.all(this.#stops.splice(0).map((stop) => stop()));
  }

  /** Last resort for an exit that cannot wait. */
  killAll(): void {
    for (const child of this.#running) {
      if (child.pid !== undefined) processTree(child.pid).forEach(killNow);
    }
  }
}

function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    return; // it has ended by itself
  }
}

/**
 * Runs `work` with a set of children and ends them all after it: on success, on failure, on Ctrl-C and on SIGTERM.
 * Returns the exit code of the process.
 */
export async function withChildren(work: (children: Children) => Promise<number>): Promise<number> {
  const children = new Children();
  const interrupted = new Promise<number>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve(130));
  });
  process.on('exit', () => children.killAll());
  try {
    return await Promise.race([work(children), interrupted]);
  } finally {
    await children.endAll();
  }
}

/** Resolves with the first IPC message of the child that `matches`; rejects when the child exits before. */
export async function messageFrom<T>(
  child: ChildProcess,
  matches: (message: unknown) => message is T,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const heard = (message: unknown): void => {
      if (matches(message)) settle(() => resolve(message));
    };
    const exited = (code: number | null): void =>
      settle(() =>
        reject(new Error(`process ${child.spawnargs.join(' ')} exited with ${code} before it was ready`)),
      );
    const failed = (error: Error): void => settle(() => reject(error));
    const settle = (then: () => void): void => {
      child.off('message', heard).off('exit', exited).off('error', failed);
      then();
    };
    child.on('message', heard).on('exit', exited).on('error', failed);
  });
}
