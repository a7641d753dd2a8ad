import type { DeliveryOutcome, ReporterState } from '@llmproxy/delivery';
import { Counter, Gauge, type Registry } from 'prom-client';

export interface WorkerMetrics {
  /** Counts an attempt that ended. */
  count(reporter: string, outcome: DeliveryOutcome, events: number): void;
  /** Counts a job that had lost its data. */
  countJobWithoutData(queue: string): void;
}

export interface Queues {
  /** Batches not yet handed to the reporters. */
  usageDepth(): Promise<number>;
  reporters(): Promise<ReporterState[]>;
}

const collectMsMax = 1_000;

/** Registers the worker's series. `webhooks` names the reporters that the two documented webhook counters are about. */
export function workerMetrics(registry: Registry, webhooks: ReadonlySet<string>): WorkerMetrics {
  const registers = [registry];
  const delivered = new Counter({
    name: 'llmproxy_webhook_success_total',
    help: 'Usage events delivered to webhooks.',
    registers,
  });
  const failed = new Counter({
    name: 'llmproxy_webhook_failure_total',
    help: 'Usage events that no webhook took after the last attempt: dead letters.',
    registers,
  });
  const deliveries = new Counter({
    name: 'llmproxy_reporter_deliveries_total',
    help: 'Usage events by reporter and by how an attempt to deliver them ended.',
    labelNames: ['reporter', 'outcome'],
    registers,
  });
  const withoutData = new Counter({
    name: 'llmproxy_jobs_without_data_total',
    help: 'Jobs whose data was gone from Redis, evicted for instance; what they held is lost.',
    labelNames: ['queue'],
    registers,
  });
  return {
    countJobWithoutData: (queue) => withoutData.inc({ queue }),
    count(reporter, outcome, events) {
      deliveries.inc({ reporter, outcome }, events);
      if (!webhooks.has(reporter)) return;
      if (outcome === 'delivered') delivered.inc(events);
      if (outcome === 'dead') failed.inc(events);
    },
  };
}

/** Registers the series that are read from Redis at each scrape; without an answer from it they are absent. */
export function watchQueues(registry: Registry, queues: Queues): void {
  const registers = [registry];
  new Gauge({
    name: 'llmproxy_dead_letters',
    help: 'Deliveries kept after their last attempt, to be replayed.',
    labelNames: ['reporter'],
    registers,
    async collect() {
      const reporters = await soon(queues.reporters(), []);
      this.reset();
      for (const { name, deadLetters } of reporters) this.set({ reporter: name }, deadLetters);
    },
  });
  new Gauge({
    name: 'llmproxy_queue_depth',
    help: 'Jobs waiting or under way: batches of usage events, and groups of deliveries by reporter.',
    labelNames: ['queue'],
    registers,
    async collect() {
      const [usage, reporters] = await Promise.all([
        soon(queues.usageDepth(), undefined),
        soon(queues.reporters(), []),
      ]);
      this.reset();
      if (usage !== undefined) this.set({ queue: 'usage' }, usage);
      for (const { name, depth } of reporters) this.set({ queue: `usage-${name}` }, depth);
    },
  });
}

/** A scrape must not hang because Redis does. */
async function soon<T, Otherwise>(answer: Promise<T>, otherwise: Otherwise): Promise<T | Otherwise> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Otherwise>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), collectMsMax);
  });
  try {
    return await Promise.race([answer, late]);
  } catch {
    return otherwise;
  } finally {
    clearTimeout(timer);
  }
}
