export interface Turnstile {
  /** Runs `work` when there is room. @throws what `full` makes when too many wait already */
  pass<T>(full: () => Error, work: () => Promise<T>): Promise<T>;
}

/** Lets at most `roomFor` run at once, first come first served, while at most `waitingMax` wait. */
export function createTurnstile(roomFor: number, waitingMax: number): Turnstile {
  let inside = 0;
  const waiting: (() => void)[] = [];
  return {
    async pass(full, work) {
      if (inside < roomFor) inside++;
      else {
        if (waiting.length >= waitingMax) throw full();
        await new Promise<void>((resolve) => waiting.push(resolve)); // who leaves hands over the place
      }
      try {
        return await work();
      } finally {
        const next = waiting.shift();
        if (next === undefined) inside--;
        else next();
      }
    },
  };
}

/**
 * The outcome of `work`, or what `late` makes when it takes longer than `timeoutMs`. The work goes on then: it learns from
 * `isLate` that nobody waits for it.
 */
export async function withDeadline<T>(
  timeoutMs: number,
  late: () => Error,
  work: (isLate: () => boolean) => Promise<T>,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let isLate = false;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      isLate = true;
      reject(late());
    }, timeoutMs);
  });
  try {
    return await Promise.race([work(() => isLate), deadline]);
  } finally {
    clearTimeout(timer);
  }
}
