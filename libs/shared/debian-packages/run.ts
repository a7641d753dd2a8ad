/** Runs one short command to its end. */
import { spawn } from 'node:child_process';

/** A command that could not be started or ended with a non-zero status. */
export class CommandFailed extends Error {
  /** What the command wrote, standard error last; at most 4,000 characters of its end. */
  readonly output: string;

  constructor(message: string, output: string) {
    super(message);
    this.output = output;
  }
}

/**
 * Resolves with the standard output of `command`.
 * @throws CommandFailed when it cannot be started or ends with a non-zero status
 */
export function run(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    // Messages are matched and shown: keep them English, and never let a package ask a question.
    const env = { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    child.on('error', (cause) => reject(new CommandFailed(`${command} cannot be run: ${cause.message}`, '')));
    child.on('close', (code, signal) => {
      if (code === 0) resolve(out);
      else
        reject(new CommandFailed(`${command} ended with ${signal ?? code}`, (out + err).slice(-4000).trim()));
    });
  });
}
