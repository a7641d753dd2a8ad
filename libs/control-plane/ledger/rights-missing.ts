/** Something is missing that this user may not make. The message holds the statements for somebody who may. */
export class RightsMissing extends Error {
  readonly #lack: string;
  readonly #statements: readonly string[];

  /** @param lack what the user may not do, as in `may not write to usage_records` */
  constructor(lack: string, statements: readonly string[], cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const all = statements.map((statement) => `${statement};`).join(' ');
    super(`this user ${lack} (${why}); somebody who may has to run: ${all}`, { cause });
    this.name = 'RightsMissing';
    this.#lack = lack;
    this.#statements = statements;
  }

  /** The same, with more statements to run after the others. */
  and(statements: readonly string[]): RightsMissing {
    return new RightsMissing(this.#lack, [...this.#statements, ...statements], this.cause);
  }
}
