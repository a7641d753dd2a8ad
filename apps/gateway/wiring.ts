/** What a gateway worker is made of. */
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { anonymous, createAuthenticate, openPipeline } from '@llmproxy/auth';
import { createBalancer } from '@llmproxy/balancing';
import { createClientIp } from '@llmproxy/client-ip';
import type { Config } from '@llmproxy/config';
import { forward, relay } from '@llmproxy/forwarding';
import type { RedisTarget } from '@llmproxy/redis';
import { createRouter } from '@llmproxy/routing';
import { openLogDestination, watchEventLoopLag, type Logger } from '@llmproxy/telemetry';
import { systemClock } from '@llmproxy/time';
import { createAnswerScanner } from '@llmproxy/usage';
import { openUsageProducer, type UsageProducer } from '@llmproxy/usage-queue';
import { createAccessLog } from './access-log.ts';
import { createRead } from './ask.ts';
import { asksForUsage, openBackends, outgoingFor, type PooledBackend } from './backends.ts';
import { backendSettings, listedKeys } from './from-config.ts';
import { createGatewayMetrics, type GatewayMetrics } from './gateway-metrics.ts';
import { followHealth, type HealthFeed } from './health-feed.ts';
import { createModels } from './models.ts';
import { createAdmit } from './permit.ts';
import type { Stages } from './pipeline.ts';
import { createRecord } from './record.ts';

export interface Resources extends AsyncDisposable {
  readonly backends: PooledBackend[];
  readonly health: HealthFeed;
  readonly producer: UsageProducer | undefined;
  readonly registry: Registry;
  readonly metrics: GatewayMetrics;
}

/** Opens what holds connections; closed in reverse order. */
export function openResources(config: Config, redis: RedisTarget, log: Logger): Resources {
  const backends = openBackends(backendSettings(config), config.auth.header_names);
  const health = followHealth(redis, config.health_check, log);
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
  return {
    backends,
    health,
    producer,
    registry,
    metrics,
    async [Symbol.asyncDispose]() {
      await producer?.close();
      health.close();
      await Promise.all(backends.map(({ forwarder }) => forwarder.close()));
    },
  };
}

export function buildStages(config: Config, resources: Resources): Stages {
  const { backends, health, metrics } = resources;
  const isAvailable = (backend: PooledBackend) => health.isAvailable(backend.name);
  const pick = createBalancer(backends, isAvailable);
  const nowMs = () => performance.now();
  const models = createModels({ backends, isAvailable, cacheMs: config.routing.models_cache_ttl, nowMs });
  const clientIp = createClientIp(config.server.trusted_proxies);
  const { header_names: headerNames, mode } = config.auth;
  const pipeline = openPipeline({ mode, providers: listedKeys(config, Date.now()), clock: systemClock });
  return {
    route: createRouter(),
    authenticate: config.auth.enabled
      ? createAuthenticate({ headerNames, pipeline, clientIp })
      : (inbound) => ({ ...anonymous, ip: clientIp(inbound) }),
    read: createRead(config.server.max_body_size),
    admit: createAdmit(metrics),
    forward: (inbound, route, ask) => {
      if (route.kind === 'models') return models(route.path);
      const prepare = (backend: PooledBackend) => outgoingFor(backend, inbound, route, ask);
      return forward(inbound, { pick, prepare });
    },
    relay: (forwarded, inbound, route, ask) => {
      const { backend } = forwarded;
      const hideUsageChunk = backend !== null && asksForUsage(backend, ask);
      // A stream may stay open for minutes after its prompt has been sent for the last time.
      if (!config.usage.include_request_body) ask.payload.release();
      let scanner: ReturnType<typeof createAnswerScanner> | undefined;
      const observe = (contentType: string) =>
        (scanner = createAnswerScanner({ contentType, hideUsageChunk }));
      return relay(forwarded, inbound, { dialect: route.dialect, nowMs, observe }).then((relayed) => ({
        relayed,
        usage: scanner?.result().usage ?? null,
      }));
    },
  };
}

export function buildRecord(config: Config, { metrics, producer }: Resources, log: Logger) {
  const { access } = config.logging;
  const output =
    access.output === 'file' && access.file ? access.file : (access.output as 'stdout' | 'stderr');
  const accessLog =
    config.logging.enabled && access.enabled
      ? createAccessLog(openLogDestination(output), access.format)
      : undefined;
  return createRecord({
    metrics,
    accessLog,
    pushEvent: producer && ((event) => producer.push(event)),
    includeRequestBody: config.usage.include_request_body,
    logFailure: (requestId, error) => {
      const cause = error.cause instanceof Error ? error.cause.message : undefined;
      log.warn({ request_id: requestId, error: error.message, cause }, 'request failed');
    },
  });
}
