import { readFileSync } from 'node:fs';
import type { Problem } from './core/problem.ts';

/**
 * The text of a file, or why there is none.
 * @param what the file in the user's words, such as `the config file`
 */
export function readText(path: string, what: string): string | Problem {
  const problem = (message: string): Problem => ({ file: path, line: 0, column: 0, path: '', message });
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
    if (code === 'ENOENT' || code === 'ENOTDIR') return problem(`${what} does not exist`);
    if (code === 'EISDIR') return problem(`${what} is a directory`);
    if (code === 'EACCES' || code === 'EPERM') return problem(`${what} may not be read by this user`);
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return problem(`${what} is not UTF-8 text`);
    return problem(`${what} cannot be read (${code})`);
  }
}
