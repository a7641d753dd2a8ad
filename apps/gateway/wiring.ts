/** What a gateway worker is made of. */
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { anonymous, createAuthenticate, firstDecisive, openKeyring } from '@llmproxy/auth';
import { createBalancer } from '@llmproxy/balancing';
import type { Config } from '@llmproxy/config';
import { forward, relay } from '@llmproxy/forwarding';
import { createRouter } from '@llmproxy/routing';
import { openLogDestination, watchEventLoopLag, type Logger } from '@llmproxy/telemetry';
import { createAnswerScanner } from '@llmproxy/usage';
import { openUsageProducer, type UsageProducer } from '@llmproxy/usage-queue';
import { createAccessLog } from './access-log.ts';
import { createRead } from './ask.ts';
import { asksForUsage, openBackends, outgoingFor, type PooledBackend } from './backends.ts';
import { backendSettings, keyRecords } from './from-config.ts';
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
export function openResources(config: Config, redisUrl: string, log: Logger): Resources {
  const backends = openBackends(backendSettings(config), config.auth.header_names);
  const health = followHealth(redisUrl, config.health_check, log);
  const reporting = config.usage.enabled && config.usage.reporters.length > 0;
  const producer = reporting
    ? openUsageProducer({ redisUrl, spoolDir: join(config.data_dir, 'spool'), log })
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
  const keyrings = keyRecords(config).map((records) => openKeyring(records, Date.now));
  return {
    route: createRouter(),
    authenticate: config.auth.enabled
      ? createAuthenticate({ headerNames: config.auth.header_names, provider: firstDecisive(keyrings) })
      : () => Promise.resolve(anonymous),
    read: createRead(config.server.max_body_size),
    admit: createAdmit(metrics),
    forward: async (inbound, route, ask) => {
      if (route.kind === 'models') return models(route.path);
      const prepare = (backend: PooledBackend) => outgoingFor(backend, inbound, route, ask);
      const forwarded = await forward(inbound, { pick, prepare });
      if (!config.usage.include_request_body) ask.payload.release();
      return forwarded;
    },
    relay: async (forwarded, inbound, route, ask) => {
      let scanner: ReturnType<typeof createAnswerScanner> | undefined;
      const { backend } = forwarded;
      const hideUsageChunk = backend !== null && asksForUsage(backend, ask);
      const observe = (contentType: string) =>
        (scanner = createAnswerScanner({ contentType, hideUsageChunk }));
      const relayed = await relay(forwarded, inbound, { dialect: route.dialect, nowMs, observe });
      return { relayed, usage: scanner?.result().usage ?? null };
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
