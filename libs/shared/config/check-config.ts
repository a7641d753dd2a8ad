import { ConfigError, renderProblem } from './core/problem.ts';
import type { Config } from './core/resolve.ts';
import type { Env } from './core/expand-env.ts';
import { loadWithWarnings } from './load-config.ts';
import type { ForeignChecks } from './read-providers.ts';

/**
 * What `llmproxy check` prints about a config file: one line of what it holds, or all its problems, one per line.
 * Shows no secrets. Never throws for a bad file.
 */
export function checkConfig(
  path: string,
  env: Env,
  checks: ForeignChecks = {},
): { ok: boolean; text: string } {
  try {
    const { config, warnings } = loadWithWarnings(path, env, checks);
    return {
      ok: true,
      text: [`${path}: ok (${summary(config)})`, ...warnings.map(renderProblem)].join('\n'),
    };
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    const count = cause.problems.length;
    const found = `${count} ${count === 1 ? 'problem' : 'problems'}`;
    // What follows from a value is looked into only when the value is right.
    return {
      ok: false,
      text: `${cause.message}\n${path}: ${found}; a check after the repair may find more`,
    };
  }
}

function summary({ backends, auth, usage }: Config): string {
  const counted = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;
  const reporters = usage.enabled ? usage.reporters.length : 0;
  return [
    counted(backends.length, 'backend'),
    `auth ${auth.enabled ? 'on' : 'off'}`,
    counted(reporters, 'reporter'),
  ].join(', ');
}
