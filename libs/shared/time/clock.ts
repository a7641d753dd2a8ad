import type { Ms } from './core/duration.ts';

/** Where the time comes from; passed in, so that a spec decides what time it is. */
export interface Clock {
  /** Milliseconds since 1970 UTC: for timestamps that leave the process. It may jump when the machine's clock is set. */
  now(): Ms;
  /** Milliseconds since an arbitrary start, never going back: for measuring how long something took. */
  monotonic(): Ms;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};

/** A clock that moves only when told to. */
export class FakeClock implements Clock {
  #now: Ms;
  #monotonic: Ms = 0;

  /** @param startMs what `now()` says first, in milliseconds since 1970 UTC */
  constructor(startMs: Ms = Date.UTC(2026, 0, 1)) {
    this.#now = startMs;
  }

  now(): Ms {
    return this.#now;
  }

  monotonic(): Ms {
    return this.#monotonic;
  }

  /** @throws RangeError when `byMs` is negative: monotonic time never goes back */
  advance(byMs: Ms): void {
    if (!(byMs >= 0)) throw new RangeError('a clock cannot be advanced by a negative span');
    this.#now += byMs;
    this.#monotonic += byMs;
  }
}
