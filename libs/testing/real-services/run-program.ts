import { spawn } from 'node:child_process';
import type { PrivatePrograms } from './private-server.ts';

/**
 * Runs one of a server's programs to its end.
 * @throws Error with the last of its output when it fails
 */
export function runProgram(
  programs: PrivatePrograms,
  program: string,
  args: readonly string[],
  input = '',
): Promise<void> {
  const line = programs.commandLine(program, args);
  return new Promise((resolve, reject) => {
    const child = spawn(line.command, line.args, { env: programs.env, cwd: programs.folder });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-4000)));
    }
    child.on('error', (cause) => reject(new Error(`${line.command} cannot be run: ${cause.message}`)));
    child.on('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${program} ended with ${signal ?? code}: ${output.trim()}`));
    });
    child.stdin.on('error', () => undefined).end(input);
  });
}
