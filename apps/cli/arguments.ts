/** The words behind a command: what they say, or how the command is called rightly. */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { nearest } from '@llmproxy/config';

/** The command was called wrongly: nothing was done. */
export class UsageError extends Error {
  readonly exitCode = 2;
}

interface Call<O extends ParseArgsOptionsConfig> {
  readonly args: readonly string[];
  readonly options: O;
  /** Most words that are no options; default 0. */
  readonly words?: number;
}

/** @throws UsageError that names what is wrong, and never a value: one may be a key */
export function readArguments<const O extends ParseArgsOptionsConfig>({ args, options, words = 0 }: Call<O>) {
  const { tokens } = parseArgs({ args, options, strict: false, tokens: true });
  for (const token of tokens) if (token.kind === 'option') checkOption(token, options);
  if (tokens.filter(({ kind }) => kind === 'positional').length > words) {
    throw new UsageError('there is a word too many; put quotes around what has spaces in it');
  }
  return parseArgs({ args: [...args], options, allowPositionals: true });
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value: string | undefined;
  /** Whether the value is behind an equals sign. */
  readonly inlineValue: boolean | undefined;
}

function checkOption(
  { name, rawName, value, inlineValue }: OptionToken,
  options: ParseArgsOptionsConfig,
): void {
  const option = Object.hasOwn(options, name) ? options[name] : undefined;
  if (option === undefined) throw unknownOption(rawName, Object.keys(options));
  if (option.type === 'boolean') {
    if (value !== undefined) throw new UsageError(`${rawName} takes no value`);
    return;
  }
  const isValue = value !== undefined && (inlineValue || !value.startsWith('-'));
  if (!isValue) throw new UsageError(`${rawName} needs a value behind it`);
}

const nameShape = /^--?[a-z][a-z-]{0,30}$/i;

function unknownOption(rawName: string, known: readonly string[]): UsageError {
  const close = nearest(rawName.replace(/^-+/, ''), known);
  const hint =
    close === undefined ? `there are ${known.map(dashed).join(', ')}` : `did you mean ${dashed(close)}?`;
  return new UsageError(`unknown option${nameShape.test(rawName) ? ` ${rawName}` : ''}: ${hint}`);
}

const dashed = (name: string): string => `--${name}`;

/** Tells on stderr why a command failed; returns its exit code. */
export function tellFailure(error: unknown): number {
  console.error(`llmproxy: ${error instanceof Error ? error.message : String(error)}`);
  return error instanceof UsageError ? error.exitCode : 1;
}
