/**
 * Which change of the store was the latest, so that whoever has a copy of it can tell whether the copy is still exact.
 * A change is under way in Redis before it is made, and afterwards it becomes the latest, under a name that never comes
 * back. Guarantee: while none is under way, and the latest is what it was when all records were read, no record has
 * changed since. One whose author died half way counts as under way for ten minutes, and then as made.
 */
import type { Cluster, Redis } from 'ioredis';
import { randomUUID } from 'node:crypto';

/** Hash: `latest` → name of the latest change; `under-way:<name>` → when it began, unix time in seconds. */
const changesKey = 'lp:keys:changes';
const underWaySecondsMax = 600;

// KEYS[1] the changes · ARGV[1] name
const beginScript = `redis.call('HSET', KEYS[1], 'under-way:' .. ARGV[1], redis.call('TIME')[1])`;

// With the time: a connection that breaks before the answer tells the end twice, and an author who was given up may come
// to an end; by then others have made their changes, and the same name would come back.
const becomesLatest = `
local function becomes_latest(name)
  local now = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'latest', name .. ':' .. now[1] .. '.' .. now[2])
end`;

// KEYS[1] the changes · ARGV[1] name
const endScript = `${becomesLatest}
redis.call('HDEL', KEYS[1], 'under-way:' .. ARGV[1])
becomes_latest(ARGV[1])`;

// KEYS[1] the changes · ARGV[1] seconds after which nobody works on a change any more · reply: how many are under way,
// and the latest
const readScript = `${becomesLatest}
local underWay, fields = 0, redis.call('HGETALL', KEYS[1])
for at = 1, #fields, 2 do
  local isLatest = fields[at] == 'latest'
  if not isLatest and redis.call('TIME')[1] - fields[at + 1] < tonumber(ARGV[1]) then underWay = underWay + 1
  elseif not isLatest then
    redis.call('HDEL', KEYS[1], fields[at])
    becomes_latest('given-up:' .. fields[at])
  end
end
return { underWay, redis.call('HGET', KEYS[1], 'latest') }`;

// KEYS[1] the changes · ARGV[1] name
const nameScript = `redis.call('HSETNX', KEYS[1], 'latest', ARGV[1])`;

/** Makes a change. When it throws it may have been made, and counts as under way. */
export async function asChange<T>(redis: Redis | Cluster, change: () => Promise<T>): Promise<T> {
  const name = randomUUID();
  await redis.eval(beginScript, 1, changesKey, name);
  const result = await change();
  await redis.eval(endScript, 1, changesKey, name);
  return result;
}

export interface Changes {
  readonly areUnderWay: boolean;
  /** Undefined: never was one, or Redis has lost what it knew. */
  readonly latest: string | undefined;
}

/** @throws Error when Redis cannot be reached */
export async function readChanges(redis: Redis | Cluster): Promise<Changes> {
  const reply = await redis.eval(readScript, 1, changesKey, underWaySecondsMax);
  const [underWay, latest] = reply as [number, string | null];
  return { areUnderWay: underWay > 0, latest: latest ?? undefined };
}

/** Gives a store that knows no latest change one to be compared with. */
export async function nameLatestChange(redis: Redis | Cluster): Promise<void> {
  await redis.eval(nameScript, 1, changesKey, randomUUID());
}
