/** Something is missing that this user may not make. The message holds the statements for somebody who may. */
export class RightsMissing extends Error {
  /** @param lack what the user may not do, as in `may not write to usage_records` */
  constructor(lack: string, statements: readonly string[], cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const all = statements.map((statement) => `${statement};`).join(' ');
    super(`this user ${lack} (${why}); somebody who may has to run: ${all}`, { cause });
    this.name = 'RightsMissing';
  }
}
