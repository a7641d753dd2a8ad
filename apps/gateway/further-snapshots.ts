/** Series that no worker has: the queue's depth, the state of Redis, and those of other processes of this machine. */
import { Gauge, Registry } from 'prom-client';
import { Client } from 'undici';
import {
  closeRedis,
  connectRedis,
  watchEviction,
  type EvictionWatch,
  type RedisTarget,
} from '@llmproxy/redis';
import type { Logger, MetricsSnapshot } from '@llmproxy/telemetry';
import { queueDepth, usageQueueName } from '@llmproxy/usage-queue';

export interface FurtherSnapshotsOptions {
  redis: RedisTarget;
  allowEviction: boolean;
  /** Management listeners that answer `/metrics.json`: `unix:/path` or `http://host:port`. */
  peers: readonly string[];
  log: Logger;
}

const redisDeadlineMs = 500;
const peerDeadlineMs = 1_000;

export function openFurtherSnapshots(options: FurtherSnapshotsOptions) {
  const { redis: target, peers, log } = options;
  const redis = connectRedis({
    ...target,
    connectionName: 'llmproxy-gateway-primary',
    commandTimeoutMs: redisDeadlineMs,
  });
  // The workers watch it too; one process of them all tells it in the log.
  const eviction = watchEviction({
    redis,
    allowed: options.allowEviction,
    log: (level, message) => log[level](message),
  });
  const registry = new Registry();
  evictionGauge(registry, eviction);
  const { up, depth } = redisGauges(registry);
  const clients = peers.map(openPeer);
  return {
    async collect(): Promise<MetricsSnapshot[]> {
      try {
        depth.set({ queue: usageQueueName }, await queueDepth(redis, usageQueueName));
        up.set(1);
      } catch {
        up.set(0); // no depth is better than a stale one
        depth.reset();
      }
      const own = (await registry.getMetricsAsJSON()) as MetricsSnapshot;
      const answers = await Promise.allSettled(clients.map((client) => snapshotOf(client)));
      return answers.reduce<MetricsSnapshot[]>(
        (snapshots, answer) => {
          if (answer.status === 'fulfilled') snapshots.push(answer.value);
          else log.debug({ reason: String(answer.reason) }, 'a metrics peer did not answer');
          return snapshots;
        },
        [own],
      );
    },
    close(): void {
      eviction.close();
      void closeRedis(redis);
      for (const client of clients) void client.destroy();
    },
  };
}

function redisGauges(registry: Registry) {
  const up = new Gauge({
    name: 'llmproxy_redis_up',
    help: '1 when Redis answers the gateway.',
    registers: [registry],
  });
  const depth = new Gauge({
    name: 'llmproxy_queue_depth',
    help: 'Jobs that wait in a queue.',
    labelNames: ['queue'],
    aggregator: 'max',
    registers: [registry],
  });
  return { up, depth };
}

function evictionGauge(registry: Registry, eviction: EvictionWatch): void {
  new Gauge({
    name: 'llmproxy_redis_evicts',
    help: '1 while Redis may evict anything: maxmemory-policy allkeys-* with a maxmemory.',
    labelNames: ['policy'],
    registers: [registry],
    collect() {
      this.reset();
      const { policy, reach } = eviction.latest() ?? {};
      if (policy !== undefined) this.set({ policy }, reach === 'anything' ? 1 : 0);
    },
  });
}

function openPeer(peer: string): Client {
  const timeouts = { headersTimeout: peerDeadlineMs, bodyTimeout: peerDeadlineMs };
  return peer.startsWith('unix:')
    ? new Client('http://localhost', { socketPath: peer.slice('unix:'.length), ...timeouts })
    : new Client(peer, timeouts);
}

async function snapshotOf(client: Client): Promise<MetricsSnapshot> {
  const { statusCode, body } = await client.request({ method: 'GET', path: '/metrics.json' });
  if (statusCode !== 200) {
    await body.dump();
    throw new Error(`metrics peer answered ${statusCode}`);
  }
  return (await body.json()) as MetricsSnapshot;
}
