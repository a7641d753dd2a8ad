/**
 * Probes each backend once per interval, whatever the number of schedulers: the ticks come from BullMQ job schedulers,
 * one per backend, which all replicas share. Jobs carry nothing but the backend's name; credentials stay out of Redis.
 */
import { readVerdicts, removeVerdicts } from '@llmproxy/health-verdicts';
import { openJobWorker, withoutWorker, type JobWorker, type QueueState } from '@llmproxy/job-worker';
import { bullPrefix, closeRedis, connectForQueues } from '@llmproxy/redis';
import type { RedisClient, RedisLog, RedisTarget } from '@llmproxy/redis';
import { atMost, repeat } from '@llmproxy/time';
import { Queue } from 'bullmq';
import { Agent } from 'undici';
import type { ProbedBackend } from './probe-backend.ts';
import { createProber, type ProberOptions, type Probe } from './prober.ts';

export interface HealthChecksOptions extends Pick<ProberOptions, 'rules' | 'onProbe' | 'onChange'> {
  redis: RedisTarget;
  /** Empty: nothing is probed, and what earlier runs left behind is removed. */
  backends: readonly ProbedBackend[];
  log: RedisLog;
}

export interface HealthChecks extends QueueState {
  /** Resolves when every backend has its schedule and its first probe has been sent. Waits for Redis. */
  start(): Promise<void>;
  /** Gives up the probes under way; the next scheduler repeats them. */
  close(): Promise<void>;
}

const queueName = 'health';
const closeMsMax = 2_000;

export function openHealthChecks(options: HealthChecksOptions): HealthChecks {
  const { backends, rules } = options;
  const connectionName = 'llmproxy-scheduler';
  const redis = connectForQueues({ ...options.redis, connectionName, log: options.log });
  const dispatcher = new Agent({ connect: { timeout: rules.timeoutMs } });
  const queue = new Queue(queueName, { connection: redis, prefix: bullPrefix });
  queue.on('error', () => undefined); // outages are told once, by the connection
  const stop = new AbortController();
  const probe = createProber({ ...options, redis, dispatcher });
  const firstProbes = new Set<Promise<unknown>>();
  let worker: JobWorker | undefined;

  const layOut = async (): Promise<void> => {
    await removeOthers(queue, redis, new Set(backends.map(({ name }) => name)));
    // Ahead of the schedules, whose first tick comes at once as well: then that one is found to be one too many.
    for (const backend of backends) {
      const first: Promise<unknown> = attempt(probe(backend, 'atOnce', stop.signal));
      firstProbes.add(first);
      void first.then(() => firstProbes.delete(first));
    }
    for (const { name } of backends) await schedule(queue, name, rules.intervalMs);
  };
  // A schedule can be lost: with a Redis that keeps nothing on disk, or with a scheduler killed between taking a tick
  // and queueing the next.
  const heal = async (): Promise<void> => {
    const verdicts = await readVerdicts(
      redis,
      backends.map(({ name }) => name),
    );
    const overdueMs = Date.now() - 2 * Math.max(rules.intervalMs, rules.timeoutMs);
    for (const { name } of backends) {
      const checkedAtMs = verdicts.get(name)?.checkedAtMs ?? 0;
      if (checkedAtMs < overdueMs) await schedule(queue, name, rules.intervalMs);
    }
  };
  return {
    async start() {
      await layOut();
      if (backends.length === 0 || stop.signal.aborted) return;
      worker = startWorker(options, probe, { redis, signal: stop.signal });
      await worker.ready();
      void repeat(heal, rules.intervalMs, stop.signal);
    },
    isWell: () => (worker ?? withoutWorker(redis)).isWell(),
    found: () => (worker ?? withoutWorker(redis)).found(),
    async close() {
      stop.abort();
      // While Redis is away its commands wait, and so would we.
      await atMost(Promise.all([worker?.close(), ...firstProbes]), closeMsMax);
      await atMost(queue.close(), closeMsMax);
      await closeRedis(redis);
      await dispatcher.destroy();
    },
  };
}

interface Tick {
  backend: string;
}

function startWorker(
  { backends, log }: Pick<HealthChecksOptions, 'backends' | 'log'>,
  probe: Probe,
  { redis, signal }: { redis: RedisClient; signal: AbortSignal },
): JobWorker {
  const byName = new Map(backends.map((backend) => [backend.name, backend]));
  const busy = new Set<string>();
  const tick = async (name: string): Promise<void> => {
    const backend = byName.get(name);
    // Unknown: of a scheduler with another config, during a rollout. Busy: slower than its interval.
    if (backend === undefined || busy.has(name)) return;
    busy.add(name);
    try {
      await attempt(probe(backend, 'jittered', signal));
    } finally {
      busy.delete(name);
    }
  };
  return openJobWorker<Tick>({
    queue: queueName,
    connection: redis,
    handle: (job) => tick(job.data.backend),
    // A slot for each probe that hangs until its timeout, and some for ticks that find their backend busy.
    bullMq: { concurrency: backends.length + 8 },
    log,
  });
}

// A colon separates the parts of BullMQ's own names.
const scheduleId = (backend: string): string => encodeURIComponent(backend);

async function schedule(queue: Queue, backend: string, intervalMs: number): Promise<void> {
  await queue.upsertJobScheduler(
    scheduleId(backend),
    { every: Math.max(1, Math.round(intervalMs)) },
    { name: 'probe', data: { backend } satisfies Tick, opts: { removeOnComplete: true, removeOnFail: true } },
  );
}

async function removeOthers(queue: Queue, redis: RedisClient, backends: ReadonlySet<string>): Promise<void> {
  const ids = new Set([...backends].map(scheduleId));
  for (const { key } of await queue.getJobSchedulers())
    if (!ids.has(key)) await queue.removeJobScheduler(key);
  const removed = [...(await readVerdicts(redis)).keys()].filter((name) => !backends.has(name));
  await removeVerdicts(redis, removed);
}

/** What Redis or the end of the process interrupted is made up for by the next tick. */
const attempt = (work: Promise<void>): Promise<void> => work.catch(() => undefined);
