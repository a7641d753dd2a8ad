/** What a gateway worker holds open. */
import { join } from 'node:path';
import { Registry } from 'prom-client';
import type { Config } from '@llmproxy/config';
import type { Limiter } from '@llmproxy/limits';
import type { RedisTarget } from '@llmproxy/redis';
import { watchEventLoopLag, type Logger } from '@llmproxy/telemetry';
import { openUsageProducer, type UsageProducer } from '@llmproxy/usage-queue';
import { openAuthentication, type Authentication } from './authentication.ts';
import { backendSettings, openBackends, type PooledBackend } from './backends.ts';
import { openConnections } from './connections.ts';
import { createGatewayMetrics, type GatewayMetrics } from './gateway-metrics.ts';
import { followHealth, type HealthFeed } from './health-feed.ts';
import { openLimits } from './rate-limits.ts';

export interface Resources extends AsyncDisposable {
  readonly backends: PooledBackend[];
  readonly health: HealthFeed;
  readonly authentication: Authentication;
  /** Undefined where nothing can be limited. */
  readonly limiter: Limiter | undefined;
  readonly producer: UsageProducer | undefined;
  readonly registry: Registry;
  readonly metrics: GatewayMetrics;
  /** How each user of Redis in this worker fares, by name: checks of `/readyz?verbose`. */
  checks(): Record<string, string>;
}

/** Opens what holds connections; closed in reverse order. */
export async function openResources(config: Config, redis: RedisTarget, log: Logger): Promise<Resources> {
  const connections = openConnections(redis, log);
  const backends = openBackends(backendSettings(config), config.auth.header_names);
  const health = followHealth(connections, config.health_check, log);
  const reporting = config.usage.enabled && config.usage.reporters.length > 0;
  const producer = reporting
    ? openUsageProducer({ redis, spoolDir: join(config.data_dir, 'spool'), log })
    : undefined;
  const registry = new Registry();
  watchEventLoopLag(registry);
  const metrics = createGatewayMetrics({
    registry,
    latencyBucketsMs: config.metrics.latency_buckets,
    backends,
    isAvailable: (backend) => health.isAvailable(backend.name),
    pendingEvents: () => producer?.pending() ?? 0,
  });
  const authentication = openAuthentication(config, log, connections);
  const limiter = await openLimits(config, connections, { log, onCall: metrics.limiterCalled });
  return {
    backends,
    health,
    authentication,
    limiter,
    producer,
    registry,
    metrics,
    checks: () => ({
      redis: connections.state(),
      keys: authentication.keysFound(),
      news: connections.news.found(),
    }),
    async [Symbol.asyncDispose]() {
      await limiter?.close();
      await authentication.close();
      await producer?.close();
      health.close();
      await Promise.all(backends.map(({ forwarder }) => forwarder.close()));
      await connections.close();
    },
  };
}
