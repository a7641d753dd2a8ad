import type { UsageProducer } from '@llmproxy/usage-queue';
import { Counter, type Registry } from 'prom-client';

/** Registers the series of what became of usage events on their way into the queue. */
export function usageEventMetrics(registry: Registry, producer: Pick<UsageProducer, 'counts'>): void {
  new Counter({
    name: 'llmproxy_usage_events_total',
    help: 'Usage events by what became of them on their way into the queue.',
    labelNames: ['result'],
    registers: [registry],
    collect() {
      const { sent, spooled, bodiesOmitted, refused, dropped } = producer.counts();
      this.reset();
      this.inc({ result: 'queued' }, sent);
      this.inc({ result: 'spooled' }, spooled);
      this.inc({ result: 'body_omitted' }, bodiesOmitted);
      this.inc({ result: 'refused' }, refused);
      this.inc({ result: 'lost' }, dropped);
    },
  });
}
