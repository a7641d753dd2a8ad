import { checkConfig } from '@llmproxy/config';
import { syntaxProblem } from '@llmproxy/lua';
import { readArguments } from './arguments.ts';

/** `llmproxy check -c FILE`: 0 when the file is right, 1 with every problem when it is not. */
export function checkCommand(args: string[]): number {
  const { values, positionals } = readArguments({
    args,
    options: { config: { type: 'string', short: 'c' } },
    words: 1,
  });
  const file = values.config ?? positionals[0] ?? 'config.yaml';
  const { ok, text } = checkConfig(file, process.env, { hookProblem: syntaxProblem });
  (ok ? process.stdout : process.stderr).write(`${text}\n`);
  return ok ? 0 : 1;
}
