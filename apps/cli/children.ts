/** The processes that `llmproxy start` runs: started until they say that they are ready, restarted, stopped in order. */
import { workerFlags } from '@llmproxy/app-life';
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface ReadyMessage {
  ready: true;
  /** Of the gateway. */
  address?: string;
  /** Of the demo backend. */
  url?: string;
}

export interface ChildOptions {
  app: 'gateway' | 'worker' | 'scheduler' | 'key-lookup' | 'demo-backend';
  args: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** Called when the child ends without having been asked to; the exit code is null after a signal. */
  onLost(code: number | null): void;
}

export interface Child {
  readonly ready: Promise<ReadyMessage>;
  /** SIGTERM, then SIGKILL after `timeoutMs`; resolves when the process is gone. */
  stop(timeoutMs: number): Promise<void>;
  /** SIGKILL at once, to it and to the processes that it has started. */
  kill(): void;
}

/** A session of its own, so that a terminal's Ctrl-C reaches only `llmproxy start`, which stops the rest in order. */
export function startChild({ app, args, env, onLost }: ChildOptions): Child {
  const main = fileURLToPath(new URL(`../${app}/main.js`, import.meta.url));
  const child = fork(main, [...args], {
    detached: true,
    execArgv: [...(app === 'worker' ? workerFlags : []), ...process.execArgv],
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  let stopping = false;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const ready = new Promise<ReadyMessage>((resolve, reject) => {
    child.on('message', (message) => isReady(message) && resolve(message));
    child.once('exit', (code) =>
      reject(new Error(`${app} stopped before it was ready (exit code ${code ?? 'none'})`)),
    );
    child.once('error', reject);
  });
  ready.catch(() => undefined); // whoever awaits it hears of it
  child.once('exit', (code) => {
    if (!stopping) onLost(code);
  });
  return {
    ready,
    stop: async (timeoutMs) => {
      stopping = true;
      await stopChild(child, gone, timeoutMs);
    },
    kill: () => {
      stopping = true;
      killGroup(child);
    },
  };
}

async function stopChild(child: ChildProcess, gone: Promise<void>, timeoutMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => killGroup(child), timeoutMs);
  await gone;
  clearTimeout(timer);
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  process.kill(-child.pid, 'SIGKILL');
}

function isReady(message: unknown): message is ReadyMessage {
  return typeof message === 'object' && message !== null && 'ready' in message && message.ready === true;
}
