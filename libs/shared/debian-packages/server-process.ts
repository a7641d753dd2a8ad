/**
 * A server as a child process that does not outlive us. A sentry, a shell waiting on a pipe we hold, ends the server
 * when this process is gone, killed included, and removes its files if they were meant for this run only.
 */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

export interface ServerStart {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly cwd?: string | undefined;
  /** Written to the server's standard input, which is then closed. */
  readonly input?: string | undefined;
  /** What ends the server: on `stop`, and when this process dies without it. */
  readonly stopSignal: 'SIGTERM' | 'SIGINT' | 'SIGQUIT' | 'SIGKILL';
  /** A folder removed after the server has ended. */
  readonly removeAfter?: string | undefined;
}

export interface ServerProcess {
  readonly pid: number;
  /** Resolves once the server has ended, with how it ended and its last lines of output. */
  readonly ended: Promise<string>;
  /** Sends the stop signal, waits for the end (SIGKILL after 30 s), removes `removeAfter`. Safe to call twice. */
  stop(): Promise<void>;
  /** Lets this process end while the server runs; the sentry then ends the server. */
  unref(): void;
}

const stopMs = 30_000;
const outputCharsMax = 4000;
const pollMs = 20;

// $1 signal, $2 pid, $3 folder or ''. A line on stdin: stopped in order. End of file without one: our parent died.
const sentryScript = `
read -r _ && exit 0
kill -s "$1" "$2" 2>/dev/null
waited=0
while kill -0 "$2" 2>/dev/null && [ $waited -lt 300 ]; do
  case "$(cat "/proc/$2/stat" 2>/dev/null)" in *') Z '*) break ;; esac # ended, but nobody took note
  sleep 0.1; waited=$((waited + 1))
done
kill -s KILL "$2" 2>/dev/null
[ -z "$3" ] || rm -rf "$3"`;

/**
 * Starts a server in a session of its own, so that a terminal's Ctrl-C reaches it only through us.
 * @throws Error when the program cannot be started
 */
export async function startServerProcess(start: ServerStart): Promise<ServerProcess> {
  const child = spawn(start.command, start.args, {
    detached: true,
    env: start.env ?? process.env,
    ...(start.cwd === undefined ? {} : { cwd: start.cwd }),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const ended = untilEnded(child);
  await once(child, 'spawn').catch((cause: Error) => {
    throw new Error(`${start.command} cannot be started: ${cause.message}`, { cause });
  });
  // A server that refuses its settings closes the pipe first; `ended` tells why.
  child.stdin.on('error', () => undefined).end(start.input ?? '');
  const pid = child.pid ?? 0;
  const sentry = startSentry(start, pid);
  // From here on the pid may become another process's: the sentry must not touch it any more.
  void ended.then(() => sentry.stdin?.end('stopped\n'));
  return {
    pid,
    ended,
    async stop() {
      child.ref();
      child.kill(start.stopSignal);
      const timer = setTimeout(() => child.kill('SIGKILL'), stopMs);
      await ended;
      clearTimeout(timer);
      if (start.removeAfter !== undefined) await rm(start.removeAfter, { recursive: true, force: true });
    },
    unref() {
      for (const handle of [child, child.stdout, child.stderr, sentry, sentry.stdin]) unrefHandle(handle);
    },
  };
}

/**
 * Asks `isReady` until it says yes.
 * @param name what the server is called in the error
 * @throws Error with the server's last lines when it ends first
 */
export async function untilReady(
  server: ServerProcess,
  name: string,
  isReady: () => Promise<boolean>,
): Promise<void> {
  let end: string | undefined;
  void server.ended.then((how) => (end = how));
  while (!(await isReady())) {
    if (end !== undefined) throw new Error(`${name} did not start: ${end}`);
    await delay(pollMs);
  }
}

function startSentry(start: ServerStart, pid: number): ChildProcess {
  const args = [start.stopSignal.slice('SIG'.length), String(pid), start.removeAfter ?? ''];
  const sentry = spawn('/bin/sh', ['-c', sentryScript, 'sentry', ...args], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
  });
  // Without a sentry the server still stops when asked to; only our sudden death would leave it behind.
  sentry.on('error', () => undefined);
  sentry.stdin.on('error', () => undefined);
  return sentry;
}

function untilEnded(child: ChildProcess): Promise<string> {
  let output = '';
  const keep = (text: string) => (output = (output + text).slice(-outputCharsMax));
  child.stdout?.setEncoding('utf8').on('data', keep);
  child.stderr?.setEncoding('utf8').on('data', keep);
  return new Promise((resolve) => {
    child.on('error', (cause) => {
      if (child.pid === undefined) resolve(cause.message);
    });
    child.on('close', (code, signal) => resolve(`ended with ${signal ?? code}. ${output.trim()}`));
  });
}

/** Pipes of a child are sockets: they have `unref`, though their stream type does not say so. */
function unrefHandle(handle: unknown): void {
  if (
    typeof handle === 'object' &&
    handle !== null &&
    'unref' in handle &&
    typeof handle.unref === 'function'
  ) {
    handle.unref();
  }
}
