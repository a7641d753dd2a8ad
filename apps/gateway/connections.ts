/** A worker's connections to Redis, shared by all that ask it. The usage queue keeps its own. */
import { checkConnection, closeRedis, connectRedis, watchEviction } from '@llmproxy/redis';
import type { EvictionWatch, RedisClient, RedisTarget, Subscription } from '@llmproxy/redis';
import { createCondition, type Logger } from '@llmproxy/telemetry';

export interface Connections {
  /** For commands that can do without an answer: they fail at once while Redis is away, and after 1 s. */
  readonly commands: RedisClient;
  readonly subscriber: RedisClient;
  /** What whoever follows a channel with `subscriber` tells of it. */
  readonly news: News;
  /** For the limiter, which has a deadline of its own. */
  readonly limits: RedisClient;
  /** What this Redis may evict; the primary tells it in the log. */
  readonly eviction: EvictionWatch;
  /** How the connection to Redis fares, for `/readyz?verbose`. */
  found(): string;
  close(): Promise<void>;
}

/** How the subscriptions fare, all channels together. */
export interface News extends Required<Subscription> {
  /** For `/readyz?verbose`, in the words of a `Condition`. */
  found(): string;
}

const commandTimeoutMs = 1_000;

export function openConnections(target: RedisTarget, log: Logger, allowEviction = false): Connections {
  // One of them speaks for all: they lead to the same Redis.
  const commands = connectRedis({
    ...target,
    connectionName: 'llmproxy-gateway',
    commandTimeoutMs,
    log: (level, message) => log[level](message),
  });
  const subscriber = connectRedis({ ...target, connectionName: 'llmproxy-gateway-news' });
  const eviction = watchEviction({ redis: commands, allowed: allowEviction });
  const news = newsOf(subscriber, log);
  const limits = connectRedis({ ...target, connectionName: 'llmproxy-gateway-limits' });
  return {
    commands,
    subscriber,
    news,
    limits,
    eviction,
    found: checkConnection(commands),
    async close() {
      eviction.close();
      await Promise.all([commands, subscriber, limits].map(closeRedis));
    },
  };
}

function newsOf(subscriber: RedisClient, log: Logger): News {
  const refused = new Map<string, string>();
  const condition = createCondition({
    onChange: (cause) =>
      cause === undefined
        ? log.info('news from Redis come again')
        : log.warn({ cause }, 'Redis refuses a channel: changes are seen when what is known has expired'),
  });
  const connectionFound = checkConnection(subscriber);
  return {
    onSubscribed(channel) {
      refused.delete(channel);
      if (refused.size === 0) condition.ok();
    },
    onRefused(channel, cause) {
      refused.set(channel, `${channel}: ${cause}`);
      condition.failed([...refused.values()].join('; '));
    },
    found: () => (subscriber.status === 'ready' ? condition.found() : connectionFound()),
  };
}
