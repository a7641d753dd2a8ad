export { parseDuration } from './core/duration.ts';
export type { Ms } from './core/duration.ts';
export { FakeClock, systemClock } from './clock.ts';
export type { Clock } from './clock.ts';
