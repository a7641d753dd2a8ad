/** Processes under test, with what they write; a test that fails leaves none of them running. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { processTree } from '../../bench/proc.ts';

export const repoRoot = fileURLToPath(new URL('../../../', import.meta.url));

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Child extends AsyncDisposable {
  readonly pid: number;
  /** All it and its children wrote so far. */
  readonly output: { readonly stdout: string; readonly stderr: string };
  readonly exited: Promise<Exit>;
  /** The first message it sends its parent. @throws Error with its output when it ends before */
  readonly ready: Promise<unknown>;
  kill(signal: NodeJS.Signals): void;
  /** Signals its whole process group; only with `group`. */
  killGroup(signal: NodeJS.Signals): void;
  /** It and all its descendants at this moment. */
  tree(): number[];
}

export interface ChildStart {
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** With a channel for messages to us: apps stop by themselves when it closes. */
  readonly ipc: boolean;
  /** In a process group of its own, as a shell starts it: `killGroup` is its Ctrl-C. */
  readonly group?: boolean;
}

/** Starts Node on `args`. */
export function startNode({ args, cwd, env, ipc, group = false }: ChildStart): Child {
  const process_ = spawn(process.execPath, [...args], {
    cwd,
    env: { ...outerEnv(), ...env },
    detached: group,
    stdio: ipc ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['ignore', 'pipe', 'pipe'],
  });
  return childOf(process_);
}

/** Starts a built app, `dist/apps/<app>/main.js`. */
export function startApp(
  app: 'cli' | 'gateway' | 'key-lookup' | 'worker' | 'scheduler',
  args: readonly string[],
  cwd: string,
): Child {
  const main = `${repoRoot}dist/apps/${app}/main.js`;
  if (!existsSync(main)) throw new Error(`${main} is not built: nx run-many -t build`);
  return startNode({ args: [main, ...args], cwd, ipc: true });
}

/** The environment without what vitest and nx put there for themselves: a nested nx would think it is one run. */
function outerEnv(): Record<string, string | undefined> {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(?:NX_|VITEST|NODE_OPTIONS$|NODE_ENV$|LLMPROXY_)/.test(name),
  );
  return Object.fromEntries(kept);
}

function childOf(child: ChildProcess): Child {
  const output = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const exited = new Promise<Exit>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal })); // not `exit`: its last lines would be missing
  });
  const ready = new Promise<unknown>((resolve, reject) => {
    child.once('message', resolve);
    child.once('error', reject);
    void exited.then(({ code, signal }) =>
      reject(
        new Error(`it ended (${code ?? signal}) before it was ready:\n${output.stderr}\n${output.stdout}`),
      ),
    );
  });
  ready.catch(() => undefined); // whoever awaits it hears of it
  const pid = child.pid ?? 0;
  return {
    pid,
    output,
    exited,
    ready,
    kill: (signal) => void child.kill(signal),
    killGroup: (signal) => void process.kill(-pid, signal),
    tree: () => processTree(pid),
    async [Symbol.asyncDispose]() {
      for (const one of processTree(pid)) killQuietly(one);
      await exited;
    },
  };
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has just ended
  }
}
