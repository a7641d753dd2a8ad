/**
 * The contract between the scheduler, which probes backends, and the gateways, which follow what it found: one hash
 * `lp:health` (backend → verdict as JSON) and a channel of the same name that carries each change.
 */
import { z } from 'zod';
import { followChannel, redisKeys, type RedisClient, type Subscription } from '@llmproxy/redis';

const HealthVerdict = z.object({
  backend: z.string(),
  healthy: z.boolean(),
  /** Latest probes in a row that speak against `healthy`; 0 when the last one agreed with it. */
  streak: z.int().nonnegative(),
  /** When the probe ended, ms since 1970 UTC by the scheduler's clock. */
  checkedAtMs: z.number(),
  /** From the request to the head of the answer; null when there was none. */
  latencyMs: z.number().nonnegative().nullable(),
  /** Why the last probe failed; null when it succeeded. */
  error: z.string().nullable(),
});
export type HealthVerdict = z.output<typeof HealthVerdict>;

const Change = z.union([HealthVerdict, z.strictObject({ removed: z.array(z.string()) })]);

/** Verdicts live this many intervals: long enough for one lost probe, short enough for a dead scheduler to be noticed. */
const intervalsMax = 3;

/**
 * Whether a backend may get requests. Unknown counts as healthy: no verdict yet, or one older than 3 intervals, as
 * when every scheduler is gone.
 * @param intervalMs longest usual time between two verdicts: the probe interval or, when that is longer, the timeout
 */
export function isHealthy(verdict: HealthVerdict | undefined, nowMs: number, intervalMs: number): boolean {
  return verdict === undefined || verdict.healthy || nowMs - verdict.checkedAtMs > intervalsMax * intervalMs;
}

/**
 * Stores a verdict and tells the gateways, both or neither.
 * @throws Error when Redis cannot be reached
 */
export async function publishVerdict(redis: RedisClient, verdict: HealthVerdict): Promise<void> {
  const json = JSON.stringify(verdict);
  await whole(
    redis.multi().hset(redisKeys.health, verdict.backend, json).publish(redisKeys.health, json).exec(),
  );
}

/**
 * Forgets backends, which count as healthy from then on, and tells the gateways.
 * @throws Error when Redis cannot be reached
 */
export async function removeVerdicts(redis: RedisClient, backends: readonly string[]): Promise<void> {
  if (backends.length === 0) return;
  const json = JSON.stringify({ removed: backends });
  await whole(
    redis
      .multi()
      .hdel(redisKeys.health, ...backends)
      .publish(redisKeys.health, json)
      .exec(),
  );
}

/**
 * The latest verdicts, by backend.
 * @param backends only of these; left out: all there are
 * @throws Error when Redis cannot be reached
 */
export async function readVerdicts(
  redis: RedisClient,
  backends?: readonly string[],
): Promise<Map<string, HealthVerdict>> {
  if (backends === undefined) return parseAll(Object.entries(await redis.hgetall(redisKeys.health)));
  if (backends.length === 0) return new Map();
  const found = await redis.hmget(redisKeys.health, ...backends);
  return parseAll(backends.map((backend, index) => [backend, found[index] ?? '']));
}

export interface FollowVerdicts extends Subscription {
  /** A connection that may subscribe; it is neither opened nor closed here. */
  subscriber: RedisClient;
  /** A connection for ordinary commands, best one whose commands fail while Redis is away. */
  reader: RedisClient;
  /** Called with all verdicts after each probe and each removal; the map is never changed afterwards. */
  onVerdicts(verdicts: ReadonlyMap<string, HealthVerdict>): void;
  /** Hears how each reading went: undefined, or why there was none. */
  onRead?(failure: string | undefined): void;
  /** How often the hash is read in full, which heals lost messages. Default 1000. */
  intervalMs?: number;
}

/**
 * Follows the verdicts: at once through the channel, and within one interval when a message was lost. While Redis is
 * away the last verdicts stay, and grow stale by themselves.
 */
export function followVerdicts(options: FollowVerdicts): { close(): void } {
  const { subscriber, reader, onVerdicts, onRead, intervalMs = 1000 } = options;
  let known: Verdicts = new Map();
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  /** Backends that messages spoke of while the hash was being read: the reading may be older than they are. */
  const changedMeanwhile = new Set<string>();

  const tell = (next: Verdicts): void => {
    known = next;
    if (!closed) onVerdicts(next);
  };
  const hear = (message: string): void => {
    const change = parsed(Change, message);
    if (change === undefined) return;
    for (const name of 'removed' in change ? change.removed : [change.backend]) changedMeanwhile.add(name);
    tell(applied(known, change));
  };
  const poll = async (): Promise<void> => {
    changedMeanwhile.clear();
    try {
      const read = await readVerdicts(reader);
      for (const name of changedMeanwhile) keepAs(known, name, read);
      if (!sameVerdicts(known, read)) tell(read);
      onRead?.(undefined);
    } catch (cause) {
      onRead?.(cause instanceof Error ? cause.message : String(cause));
    }
    if (!closed) timer = setTimeout(poll, intervalMs);
  };
  const channel = followChannel(subscriber, redisKeys.health, hear, options);
  void poll();
  return {
    close() {
      closed = true;
      clearTimeout(timer);
      channel.close();
    },
  };
}

type Verdicts = ReadonlyMap<string, HealthVerdict>;

function applied(known: Verdicts, change: z.output<typeof Change>): Verdicts {
  const next = new Map(known);
  if ('removed' in change) for (const name of change.removed) next.delete(name);
  else next.set(change.backend, change);
  return next;
}

function keepAs(known: Verdicts, name: string, next: Map<string, HealthVerdict>): void {
  const verdict = known.get(name);
  if (verdict === undefined) next.delete(name);
  else next.set(name, verdict);
}

function sameVerdicts(a: Verdicts, b: Verdicts): boolean {
  return (
    a.size === b.size &&
    [...a].every(([name, verdict]) => JSON.stringify(verdict) === JSON.stringify(b.get(name)))
  );
}

function parseAll(fields: readonly [backend: string, json: string][]): Map<string, HealthVerdict> {
  const verdicts = new Map<string, HealthVerdict>();
  for (const [backend, json] of fields) {
    const verdict = parsed(HealthVerdict, json);
    if (verdict !== undefined) verdicts.set(backend, verdict);
  }
  return verdicts;
}

/** What cannot be read, say of another version, is as good as nothing: a gateway never stops over a verdict. */
function parsed<T>(schema: z.ZodType<T>, json: string): T | undefined {
  try {
    return schema.safeParse(JSON.parse(json)).data;
  } catch {
    return undefined;
  }
}

async function whole(replies: Promise<[error: Error | null, result: unknown][] | null>): Promise<void> {
  for (const [error] of (await replies) ?? []) if (error) throw error;
}
