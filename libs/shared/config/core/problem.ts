/** One thing wrong with a config file, and where. */
export interface Problem {
  readonly file: string;
  /** From 1; 0 when the problem has no place inside the file. */
  readonly line: number;
  /** From 1; 0 when the problem has no place inside the file. */
  readonly column: number;
  /** Dotted path of the setting, `backends[0].url`; empty when there is none. */
  readonly path: string;
  /** Never repeats a configured value. */
  readonly message: string;
}

/** One line: `file:line:col  path: message`. */
export function renderProblem(problem: Problem): string {
  const place = problem.line > 0 ? `${problem.file}:${problem.line}:${problem.column}` : problem.file;
  return problem.path === ''
    ? `${place}  ${problem.message}`
    : `${place}  ${problem.path}: ${problem.message}`;
}

/** In the order of the files they are in; the same thing is said once. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  const files = [...new Set(problems.map((problem) => problem.file))];
  const once = new Map(problems.map((problem) => [renderProblem(problem), problem]));
  return [...once.values()].sort(
    (a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line || a.column - b.column,
  );
}

/** A config that cannot be used; `problems` are all that were found, not only the first. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[];
  /** EX_CONFIG: what a process that cannot start for it ends with. */
  readonly exitCode = 78;

  constructor(problems: readonly Problem[]) {
    super(problems.map(renderProblem).join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** `['backends', 0, 'url']` as people write it: `backends[0].url`. */
export function renderPath(path: readonly PropertyKey[]): string {
  return path
    .map((part, i) => (typeof part === 'number' ? `[${part}]` : `${i === 0 ? '' : '.'}${String(part)}`))
    .join('');
}
