/** What a gateway worker holds open. */
import { join } from 'node:path';
import { closeInOrder } from '@llmproxy/app-life';
import { Registry } from 'prom-client';
import type { Config } from '@llmproxy/config';
import type { Limiter } from '@llmproxy/limits';
import type { RedisTarget } from '@llmproxy/redis';
import { watchEventLoopLag, type Logger } from '@llmproxy/telemetry';
import { openUsageProducer, type UsageProducer } from '@llmproxy/usage-queue';
import { openAuthentication, type Authentication } from './authentication.ts';
import { backendSettings, openBackends, type PooledBackend } from './backends.ts';
import { openConnections, type Connections } from './connections.ts';
import { createGatewayMetrics, type GatewayMetrics } from './gateway-metrics.ts';
import { followHealth, type HealthFeed } from './health-feed.ts';
import { openLimits } from './rate-limits.ts';
import { usageEventMetrics } from './usage-event-metrics.ts';

export interface Resources {
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
  /** Returns what could not be closed in time, each with why. */
  close(): Promise<string[]>;
}

/** The slowest of them sends or spools its last events, for which it takes 2 s and the time of a disk. */
const partMsMax = 4_000;

const isReporting = ({ usage }: Config): boolean => usage.enabled && usage.reporters.length > 0;

/** Opens what holds connections. */
export async function openResources(config: Config, redis: RedisTarget, log: Logger): Promise<Resources> {
  const connections = openConnections(redis, log, config.redis.allow_eviction);
  const backends = openBackends(backendSettings(config), config.auth.header_names);
  const health = followHealth(connections, config.health_check, log);
  const refusal = () => connections.eviction.refusal();
  const producer = isReporting(config)
    ? openUsageProducer({ redis, spoolDir: join(config.data_dir, 'spool'), log, refusal })
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
  if (producer) usageEventMetrics(registry, producer);
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
    checks: () => checksOf({ connections, health, authentication, limiter, producer }),
    close: () =>
      closeInOrder(
        [
          { name: 'limits', close: () => limiter?.close() },
          { name: 'keys', close: () => authentication.close() },
          { name: 'usage events', close: () => producer?.close() },
          { name: 'health', close: () => health.close() },
          { name: 'backends', close: () => Promise.all(backends.map(({ forwarder }) => forwarder.close())) },
          { name: 'Redis', close: () => connections.close() },
        ],
        partMsMax,
      ),
  };
}

type Checked = Pick<Resources, 'health' | 'authentication' | 'limiter' | 'producer'> & {
  connections: Connections;
};

function checksOf({
  connections,
  health,
  authentication,
  limiter,
  producer,
}: Checked): Record<string, string> {
  return {
    redis: connections.found(),
    eviction: connections.eviction.found(),
    ...(limiter && { limits: limiter.condition.found() }),
    ...(producer && { queue: producer.found() }),
    keys: authentication.keysFound(),
    news: connections.news.found(),
    health: health.found(),
  };
}
