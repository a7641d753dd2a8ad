/** A worker's connections to Redis, shared by all that ask it. The usage queue keeps its own. */
import { closeRedis, connectRedis, type RedisClient, type RedisTarget } from '@llmproxy/redis';
import type { Logger } from '@llmproxy/telemetry';

export interface Connections {
  /** For commands that can do without an answer: they fail at once while Redis is away, and after 1 s. */
  readonly commands: RedisClient;
  readonly subscriber: RedisClient;
  /** For the limiter, which has a deadline of its own. */
  readonly limits: RedisClient;
  /** `ok`, or what is the matter with Redis. */
  state(): string;
  close(): Promise<void>;
}

const commandTimeoutMs = 1_000;

export function openConnections(target: RedisTarget, log: Logger): Connections {
  // One of them speaks for all: they lead to the same Redis.
  const commands = connectRedis({
    ...target,
    connectionName: 'llmproxy-gateway',
    commandTimeoutMs,
    log: (level, message) => log[level](message),
  });
  const subscriber = connectRedis({ ...target, connectionName: 'llmproxy-gateway-news' });
  const limits = connectRedis({ ...target, connectionName: 'llmproxy-gateway-limits' });
  return {
    commands,
    subscriber,
    limits,
    state: () => (commands.status === 'ready' ? 'ok' : `away (${commands.status}); serving without it`),
    close: async () => void (await Promise.all([commands, subscriber, limits].map(closeRedis))),
  };
}
