import { cpuMicros } from './proc.ts';
import type { LoadPlan, LoadReport } from './plan.ts';
import { Samples } from './samples.ts';

const reasonsMax = 5;

/** Everything measured while one plan runs; only what falls into the window between `open` and `close` counts. */
export class Tally {
  readonly latency = new Samples();
  readonly ttft = new Samples();
  readonly chunkDelay = new Samples();
  readonly lag = new Samples();
  completed = 0;
  chunks = 0;
  bodyBytes = 0;
  #errors = 0;
  readonly #reasons = new Set<string>();
  readonly #watch: LoadPlan['watch'];
  #cpuAtOpen: Record<string, number> = {};
  #ownAtOpen = process.cpuUsage();
  #openedMs = 0;
  #isOpen = false;

  constructor(watch: LoadPlan['watch']) {
    this.#watch = watch;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  open(): void {
    this.#cpuAtOpen = this.#cpu();
    this.#ownAtOpen = process.cpuUsage();
    this.#openedMs = performance.now();
    this.#isOpen = true;
  }

  /** Errors count whenever they happen, the warm-up included. */
  error(reason: string): void {
    this.#errors += 1;
    if (this.#reasons.size < reasonsMax) this.#reasons.add(reason);
  }

  close(): LoadReport {
    this.#isOpen = false;
    const windowMs = performance.now() - this.#openedMs;
    const own = process.cpuUsage(this.#ownAtOpen);
    const now = this.#cpu();
    const used = Object.entries(now).map(([name, micros]) => [name, micros - (this.#cpuAtOpen[name] ?? 0)]);
    return {
      completed: this.completed,
      chunks: this.chunks,
      errors: this.#errors,
      errorReasons: [...this.#reasons],
      windowMs,
      perSecond: (this.completed / windowMs) * 1000,
      bodyBytes: this.bodyBytes,
      latency: this.latency.quantiles(),
      ttft: this.ttft.quantiles(),
      chunkDelay: this.chunkDelay.quantiles(),
      lag: this.lag.quantiles(),
      cpuMicros: Object.fromEntries(used) as Record<string, number>,
      generatorCpuMicros: own.user + own.system,
    };
  }

  #cpu(): Record<string, number> {
    return Object.fromEntries(Object.entries(this.#watch).map(([name, pids]) => [name, cpuMicros(pids)]));
  }
}
