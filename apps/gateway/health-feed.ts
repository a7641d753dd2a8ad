/** Which backends the scheduler found well. Without a fresh verdict a backend counts as healthy. */
import type { Config } from '@llmproxy/config';
import { followVerdicts, isHealthy, type HealthVerdict } from '@llmproxy/health-verdicts';
import { connectionProblem } from '@llmproxy/redis';
import { createCondition, type Logger } from '@llmproxy/telemetry';
import type { Connections } from './connections.ts';

export interface HealthFeed {
  isAvailable(backend: string): boolean;
  /** Whether the verdicts can be read, for `/readyz?verbose`. */
  found(): string;
  close(): void;
}

const pollMs = 1_000;

/** Follows the verdicts in Redis; with health checks off every backend is well. */
export function followHealth(
  { commands, subscriber, news }: Pick<Connections, 'commands' | 'subscriber' | 'news'>,
  healthCheck: Config['health_check'],
  log: Logger,
): HealthFeed {
  if (!healthCheck.enabled) return { isAvailable: () => true, found: () => 'ok', close: () => undefined };
  let verdicts: ReadonlyMap<string, HealthVerdict> = new Map();
  const reading = watchReading(commands, log);
  const feed = followVerdicts({
    subscriber,
    reader: commands,
    ...news,
    intervalMs: pollMs,
    onRead: reading.ended,
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
    found: reading.found,
    close: () => feed.close(),
  };
}

/** That there is no connection yet, just after the start, is no failure. */
function watchReading(redis: Connections['commands'], log: Logger) {
  let everRead = false;
  const condition = createCondition({
    onChange: (cause) =>
      cause === undefined
        ? log.info('the health of backends can be read again')
        : log.warn(
            { cause },
            'the health of backends cannot be read: what is known grows stale and is forgotten',
          ),
  });
  return {
    ended(failure: string | undefined): void {
      if (failure === undefined) {
        everRead = true;
        condition.ok();
      } else if (redis.status === 'ready') condition.failed(failure);
      else if (everRead) condition.failed(connectionProblem(redis) ?? 'no connection to Redis');
    },
    found: () => (everRead || !condition.isWell() ? condition.found() : 'not read yet'),
  };
}
