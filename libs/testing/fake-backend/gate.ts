/** Something a test holds back until it says so, in place of a sleep. */
export interface Gate {
  /** Resolves once `open` was called. */
  readonly opened: Promise<void>;
  open(): void;
}

/** A closed gate. Put it among the steps of a play. */
export function createGate(): Gate {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}
