/** The worker's parts, put together: queue → fan-out → one delivery queue per reporter. */
import type { Config } from '@llmproxy/config';
import { openDelivery } from '@llmproxy/delivery';
import { openEvictionWatch, type RedisTarget } from '@llmproxy/redis';
import { serveManagement, watchEventLoopLag, type Logger, type Readiness } from '@llmproxy/telemetry';
import { openUsageConsumer } from '@llmproxy/usage-queue';
import { Registry } from 'prom-client';
import { watchQueues, workerMetrics } from './metrics.ts';
import { reportersOf } from './reporters.ts';

export interface UsageWorker {
  /** Address of the probes and metrics; undefined when they are not served. */
  management: string | undefined;
  /** Resolves when Redis is there and every queue is being worked on. */
  ready(): Promise<void>;
  /** Finishes what is under way, at most `deadlineMs`; the rest stays queued for the next worker. */
  close(deadlineMs: number): Promise<void>;
}

export interface WorkerOptions {
  config: Config;
  redis: RedisTarget;
  log: Logger;
  managementListen?: string | undefined;
}

/** @throws Error when a reporter cannot be built, or the management address is taken */
export async function openWorker({
  config,
  redis,
  log,
  managementListen,
}: WorkerOptions): Promise<UsageWorker> {
  const registry = new Registry();
  const eviction = openEvictionWatch(
    { ...redis, connectionName: 'llmproxy worker' },
    { allowed: config.redis.allow_eviction, log: (level, message) => log[level](message) },
  );
  const webhooks = config.usage.reporters.filter(({ type }) => type === 'webhook').map(({ name }) => name);
  const metrics = workerMetrics(registry, new Set(webhooks));
  const { count: onOutcome, countJobWithoutData: onJobWithoutData } = metrics;
  const reporters = reportersOf(config, log);
  const delivery = openDelivery({ redis, reporters, log, onOutcome, onJobWithoutData });
  const consumer = openUsageConsumer({ redis, log, handle: delivery.fanOut, onJobWithoutData });
  watchQueues(registry, { usageDepth: consumer.depth, reporters: delivery.states });
  watchEventLoopLag(registry);

  // A reporter that fails does not make the worker unready: its deliveries wait, which is what the worker is for.
  // A Redis that evicts does, though what is queued there is still worked off: the sooner the better.
  const ready = (): Readiness => ({
    ok: consumer.isWell() && delivery.isWell() && eviction.refusal() === undefined,
    checks: { queue: consumer.found(), eviction: eviction.found(), ...delivery.health() },
  });
  const management =
    managementListen === undefined
      ? undefined
      : await serveManagement({
          listen: managementListen,
          ready,
          metrics: () => registry.metrics(),
          snapshot: () => registry.getMetricsAsJSON(),
        });
  return {
    management: management?.address,
    ready: async () => void (await Promise.all([consumer.ready(), delivery.ready()])),
    close: async (deadlineMs) => {
      await consumer.close(deadlineMs);
      await delivery.close(deadlineMs);
      await management?.close();
      await eviction.close();
    },
  };
}
