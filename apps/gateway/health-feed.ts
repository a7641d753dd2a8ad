/** Which backends the scheduler found well. Without a fresh verdict a backend counts as healthy. */
import type { Config } from '@llmproxy/config';
import { followVerdicts, isHealthy, type HealthVerdict } from '@llmproxy/health-verdicts';
import type { Logger } from '@llmproxy/telemetry';
import type { Connections } from './connections.ts';

export interface HealthFeed {
  isAvailable(backend: string): boolean;
  close(): void;
}

const pollMs = 1_000;

/** Follows the verdicts in Redis; with health checks off every backend is well. */
export function followHealth(
  { commands, subscriber, news }: Pick<Connections, 'commands' | 'subscriber' | 'news'>,
  healthCheck: Config['health_check'],
  log: Logger,
): HealthFeed {
  if (!healthCheck.enabled) return { isAvailable: () => true, close: () => undefined };
  let verdicts: ReadonlyMap<string, HealthVerdict> = new Map();
  const feed = followVerdicts({
    subscriber,
    reader: commands,
    ...news,
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
    close: () => feed.close(),
  };
}
