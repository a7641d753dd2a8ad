/**
 * How one user of a part that may be away (Redis, SQL, a receiver) fares with it: the text of its check in
 * `/readyz?verbose`, and one log line per outage instead of one per request. States:
 * - `well`: → `failing` at a failure
 * - `failing`: → `well` at a success; what it failed with last stays to be read
 */
export interface Condition {
  /** It works; free of cost when it did before. */
  ok(): void;
  /** It does not. `cause` is for people: no secret, no line break. */
  failed(cause: string): void;
  isWell(): boolean;
  /** `ok`, `ok; failed last at <RFC 3339>: <cause>` or `failing since <RFC 3339>: <cause>`. */
  found(): string;
}

export interface ConditionOptions {
  /** Hears of each change: the cause when it begins to fail, undefined when it is well again. */
  readonly onChange?: ((cause: string | undefined) => void) | undefined;
  /** Ms since 1970; default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

export function createCondition({
  onChange = () => undefined,
  now = Date.now,
}: ConditionOptions = {}): Condition {
  let last: { cause: string; sinceMs: number; atMs: number } | undefined;
  let isWell = true;
  return {
    ok() {
      if (isWell) return;
      isWell = true;
      onChange(undefined);
    },
    failed(cause) {
      const atMs = now();
      last = { cause, atMs, sinceMs: isWell || last === undefined ? atMs : last.sinceMs };
      if (!isWell) return;
      isWell = false;
      onChange(cause);
    },
    isWell: () => isWell,
    found() {
      if (last === undefined) return 'ok';
      if (isWell) return `ok; failed last at ${new Date(last.atMs).toISOString()}: ${last.cause}`;
      return `failing since ${new Date(last.sinceMs).toISOString()}: ${last.cause}`;
    },
  };
}
