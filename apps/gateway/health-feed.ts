/** Which backends the scheduler found well. Without a fresh verdict a backend counts as healthy. */
import type { Config } from '@llmproxy/config';
import { followVerdicts, isHealthy, type HealthVerdict } from '@llmproxy/health-verdicts';
import { closeRedis, connectRedis, type RedisTarget } from '@llmproxy/redis';
import type { Logger } from '@llmproxy/telemetry';

export interface HealthFeed {
  isAvailable(backend: string): boolean;
  /** `ok`, or what is the matter with Redis. */
  redisState(): string;
  close(): void;
}

const pollMs = 1_000;
const commandTimeoutMs = 1_000;

/** Follows the verdicts in Redis; with health checks off only the state of Redis is watched. */
export function followHealth(
  redis: RedisTarget,
  healthCheck: Config['health_check'],
  log: Logger,
): HealthFeed {
  const connect = (connectionName: string) =>
    connectRedis({
      ...redis,
      connectionName,
      commandTimeoutMs,
      log: (level, message) => log[level](message),
    });
  const reader = connect('llmproxy-gateway');
  if (!healthCheck.enabled) {
    return {
      isAvailable: () => true,
      redisState: () => redisState(reader.status),
      close: () => void closeRedis(reader),
    };
  }
  const subscriber = connect('llmproxy-gateway-health');
  let verdicts: ReadonlyMap<string, HealthVerdict> = new Map();
  const feed = followVerdicts({
    subscriber,
    reader,
    intervalMs: pollMs,
    onVerdicts: (latest) => {
      for (const [backend, { healthy, error }] of latest) {
        const before = verdicts.get(backend)?.healthy ?? true;
        if (before !== healthy) log.warn({ backend, healthy, error }, 'backend changed health');
      }
      verdicts = latest;
    },
  });
  return {
    isAvailable: (backend) =>
      isHealthy(verdicts.get(backend), Date.now(), Math.max(healthCheck.interval, healthCheck.timeout)),
    redisState: () => redisState(reader.status),
    close: () => {
      feed.close();
      void closeRedis(subscriber);
      void closeRedis(reader);
    },
  };
}

const redisState = (status: string): string =>
  status === 'ready' ? 'ok' : `away (${status}); serving without it`;
