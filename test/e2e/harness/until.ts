import { setTimeout as delay } from 'node:timers/promises';

const pollMs = 20;

/**
 * Looks until `look` finds something, and returns it.
 * @param what said when it never does, with what was thrown last
 */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  timeoutMs = 20_000,
): Promise<Exclude<T, false | null | undefined>> {
  const deadlineMs = performance.now() + timeoutMs;
  let thrown: unknown;
  for (;;) {
    try {
      const found = await look();
      if (found !== false && found !== null && found !== undefined) {
        return found as Exclude<T, false | null | undefined>;
      }
      thrown = undefined;
    } catch (cause) {
      thrown = cause;
    }
    if (performance.now() > deadlineMs)
      throw new Error(`${what}: not so after ${timeoutMs} ms`, { cause: thrown });
    await delay(pollMs);
  }
}
