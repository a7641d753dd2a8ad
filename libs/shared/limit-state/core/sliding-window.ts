/**
 * A sliding minute in two counters: what the current window counted, and of the previous one the share that is less than
 * a minute old, as though it had come evenly. A window begins with its first request, so a burst into an idle scope never
 * straddles two.
 */

export interface SlidingWindow {
  readonly startMs: number;
  readonly previous: number;
  readonly current: number;
}

export const windowMs = 60_000;
export const never = -1;
export const emptyWindow: SlidingWindow = { startMs: 0, previous: 0, current: 0 };

/** The window as of now. A clock that went back (a failover) restarts it and forgets nothing; that is to be stored. */
export function rolled({ startMs, previous, current }: SlidingWindow, nowMs: number): SlidingWindow {
  const start = Math.min(startMs, nowMs);
  const age = nowMs - start;
  if (age >= 2 * windowMs) return { startMs: nowMs, previous: 0, current: 0 };
  if (age >= windowMs) return { startMs: start + windowMs, previous: current, current: 0 };
  return { startMs: start, previous, current };
}

/** How long until `cost` fits, if nothing else comes; 0: it fits, -1: it never will. `w` is rolled. */
export function windowWaitMs(w: SlidingWindow, limit: number, cost: number, nowMs: number): number {
  if (limit <= 0 || cost > limit) return never;
  const age = nowMs - w.startMs;
  const room = limit - w.current - cost;
  if (w.previous * (windowMs - age) <= room * windowMs) return 0;
  const ripe = room > 0 ? windowMs - Math.floor((room * windowMs) / w.previous) : windowMs;
  if (ripe < windowMs) return ripe - age;
  if (w.current === 0) return windowMs - age;
  return windowMs - age + Math.max(0, windowMs - Math.floor(((limit - cost) * windowMs) / w.current));
}

/** What was counted at `atMs` turns out to be `delta` more or less. More counts now; less, in the window of then. */
export function amended(w: SlidingWindow, delta: number, atMs: number): SlidingWindow {
  if (delta > 0 || atMs >= w.startMs) return { ...w, current: Math.max(0, w.current + delta) };
  if (atMs >= w.startMs - windowMs) return { ...w, previous: Math.max(0, w.previous + delta) };
  return w;
}

/**
 * `count` that was admitted elsewhere at `atMs`, as though it had been asked for here and then; a negative count takes
 * that back. `w` is rolled.
 */
export function charged(w: SlidingWindow, count: number, atMs: number, nowMs: number): SlidingWindow {
  const then = Math.min(atMs, nowMs);
  if (count < 0) return amended(w, count, then);
  if (w.previous === 0 && w.current === 0)
    return rolled({ startMs: then, previous: 0, current: count }, nowMs);
  if (then >= w.startMs) return { ...w, current: w.current + count };
  // It was the first request of this window.
  if (w.previous === 0 && nowMs - then < windowMs) return { ...w, startMs: then, current: w.current + count };
  return then >= w.startMs - windowMs ? { ...w, previous: w.previous + count } : w;
}

/** What counts of a rolled window. */
export const windowUsed = (w: SlidingWindow, nowMs: number): number =>
  w.current + (w.previous * (windowMs - (nowMs - w.startMs))) / windowMs;

/** What still fits, to a fraction and negative where more was used; how long until nothing is counted any more. */
export function windowLeft(
  w: SlidingWindow,
  limit: number,
  nowMs: number,
): { remaining: number; resetMs: number } {
  const windows = w.current > 0 ? 2 : w.previous > 0 ? 1 : 0;
  return {
    remaining: limit - windowUsed(w, nowMs),
    resetMs: windows === 0 ? 0 : w.startMs + windows * windowMs - nowMs,
  };
}
