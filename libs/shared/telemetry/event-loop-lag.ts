import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Gauge, type Registry } from 'prom-client';

const resolutionMs = 20;

/** Exports how late this process's event loop runs its timers, since the last scrape. */
export function watchEventLoopLag(registry: Registry): void {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  new Gauge({
    name: 'llmproxy_event_loop_lag_seconds',
    help: 'Delay of the event loop since the last scrape, by quantile; the worst worker counts.',
    labelNames: ['quantile'],
    aggregator: 'max',
    registers: [registry],
    collect() {
      const seconds = (nanoseconds: number) => Math.max(0, (nanoseconds - resolutionMs * 1e6) / 1e9) || 0;
      this.set({ quantile: '0.5' }, seconds(delay.percentile(50)));
      this.set({ quantile: '0.99' }, seconds(delay.percentile(99)));
      this.set({ quantile: '1' }, seconds(delay.max));
      delay.reset();
    },
  });
}
