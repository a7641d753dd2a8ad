/**
 * Runs an app until `main` resolves, then ends the process with 0: connections that were cut off may keep it alive.
 * When `main` rejects it ends as `endWith` says.
 */
export function runMain(main: () => Promise<void>): void {
  main().then(() => process.exit(0), endWith);
}

/**
 * Ends the process, after a line on stderr, for a reason a person can do something about: with the error's `exitCode`
 * (78 of a config that cannot be used, so that a supervisor knows that trying again is of no use), else with 1.
 */
export function endWith(cause: unknown): never {
  process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n`);
  const exitCode = cause instanceof Error && 'exitCode' in cause ? cause.exitCode : undefined;
  return process.exit(typeof exitCode === 'number' ? exitCode : 1);
}
