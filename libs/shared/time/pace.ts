import { setTimeout as delay } from 'node:timers/promises';
import type { Ms } from './core/duration.ts';

/** Does `work` every `everyMs`, counted from its end, until `signal` is aborted. What it rejects with is passed over. */
export async function repeat(work: () => Promise<void>, everyMs: Ms, signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      await delay(everyMs, undefined, { signal, ref: false });
    } catch {
      return; // closed
    }
    await work().catch(() => undefined);
  }
}

/** Waits for the end of `work`, good or bad, for at most `ms`; `work` itself goes on. */
export async function atMost(work: Promise<unknown> | undefined, ms: Ms): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([work?.catch(() => undefined), late]);
  clearTimeout(timer);
}
