export {
  createLogger,
  openLogDestination,
  type Logger,
  type LogDestination,
  type LogLevel,
} from './logger.ts';
export { createCondition, type Condition, type ConditionOptions } from './condition.ts';
export {
  asksForChecks,
  isWell,
  probeAnswer,
  serveManagement,
  type Management,
  type Readiness,
} from './management.ts';
export { parseListen, type ListenAddress } from './listen-address.ts';
export { watchEventLoopLag } from './event-loop-lag.ts';
export { mergeMetrics, type MetricsSnapshot } from './merge-metrics.ts';
export { counterFamily, histogramFamily, type CounterCell, type HistogramCell } from './cells.ts';
export { isSocketAnswered, makeWayForSocket } from './socket-path.ts';
