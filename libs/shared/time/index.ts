export { parseDuration } from './core/duration.ts';
export type { Ms } from './core/duration.ts';
export { createPeriods, periodEndMs, periodStartMs } from './core/quota-period.ts';
export type { PeriodBounds, Periods, QuotaPeriod } from './core/quota-period.ts';
export { atMost, repeat } from './pace.ts';
export { FakeClock, systemClock } from './clock.ts';
export type { Clock } from './clock.ts';
export { withDeadline } from './with-deadline.ts';
