/** The scheduler's parts, put together: config → health checks, care for limits, and a listener for operators. */
import type { Config } from '@llmproxy/config';
import { openHealthChecks, type HealthChecks, type ProbeRules } from '@llmproxy/health';
import { openEvictionWatch, type RedisTarget } from '@llmproxy/redis';
import { serveManagement, watchEventLoopLag, type Logger, type Readiness } from '@llmproxy/telemetry';
import { Registry } from 'prom-client';
import { openKeys } from './keys.ts';
import { openLimits } from './limits.ts';
import { probeMetrics } from './metrics.ts';

export interface Scheduler {
  /** Address of the probes and metrics; undefined when they are not served. */
  management: string | undefined;
  /** Resolves when everything is scheduled; waits for Redis. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export interface SchedulerOptions {
  config: Config;
  redis: RedisTarget;
  log: Logger;
  managementListen?: string | undefined;
}

/** @throws Error when the management address is taken */
export async function openScheduler(options: SchedulerOptions): Promise<Scheduler> {
  const { config, redis, log, managementListen } = options;
  const registry = new Registry();
  watchEventLoopLag(registry);
  const eviction = openEvictionWatch(
    { ...redis, connectionName: 'llmproxy-scheduler' },
    { allowed: config.redis.allow_eviction, log: (level, message) => log[level](message) },
  );
  const evicts = () => eviction.latest()?.reach === 'anything';
  const keys = openKeys({ registry, config, redis, log, evicts });
  const checks = openChecks(options, registry);
  const limits = openLimits({ registry, redis, log });
  const ready = (): Readiness => ({
    ok: checks.isWell() && limits.isWell() && eviction.refusal() === undefined,
    checks: {
      health: checks.found(),
      limits: limits.found(),
      eviction: eviction.found(),
      keys: keys.found(),
    },
  });
  const metrics = () => registry.metrics();
  const snapshot = () => registry.getMetricsAsJSON();
  const management =
    managementListen === undefined
      ? undefined
      : await serveManagement({ listen: managementListen, ready, metrics, snapshot });
  return {
    management: management?.address,
    start: async () => void (await Promise.all([checks.start(), limits.start()])),
    close: async () => {
      await Promise.all([checks.close(), limits.close(), keys.close(), eviction.close()]);
      await management?.close();
    },
  };
}

function openChecks({ config, redis, log }: SchedulerOptions, registry: Registry): HealthChecks {
  return openHealthChecks({
    redis,
    backends: config.health_check.enabled ? config.backends.map(probedBackend) : [],
    rules: rulesOf(config.health_check),
    onProbe: probeMetrics(registry),
    onChange: ({ backend, healthy, error }) => {
      if (healthy) log.info({ backend }, 'backend is healthy again');
      else
        log.warn(
          { backend, error },
          'backend is unhealthy: it gets no more requests until its probes succeed',
        );
    },
    log: (level, message) => log[level](message),
  });
}

function probedBackend({ name, url, headers, credential }: Config['backends'][number]) {
  return { name, url, headers: { ...headers, ...(credential && { [credential.header]: credential.value }) } };
}

function rulesOf(settings: Config['health_check']): ProbeRules {
  return {
    intervalMs: settings.interval,
    timeoutMs: settings.timeout,
    method: settings.method,
    path: settings.path,
    expectedStatus: settings.expected_status,
    unhealthyThreshold: settings.unhealthy_threshold,
    healthyThreshold: settings.healthy_threshold,
    jitter: settings.jitter,
  };
}
