/**
 * The built-in store: `lp:keys:<64 hex digits of the key's SHA-256>` → the key's record as JSON. The secret itself is
 * kept nowhere. A change and the word of it are one transaction: no gateway hears of what did not happen, and none
 * misses what did for longer than its cache lives.
 */
import { Cluster, type Redis } from 'ioredis';
import { keyIdOfHash } from './key-identity.ts';
import { checkedKeyRecord, parseKeyRecord, type KeyRecord } from './key-record.ts';
import { keysChannel } from './revocations.ts';

const recordKey = (sha256: string): string => `${keysChannel}:${sha256}`;
const sha256Form = /^[0-9a-f]{64}$/;
const scanCount = 500;
const changeAttemptsMax = 10;

/** A record as it was found; one that cannot be read says why instead. */
export type StoredKey = { readonly sha256: string } & (
  { readonly record: KeyRecord } | { readonly record: undefined; readonly unreadable: string }
);

/**
 * Writes a record, new or in place of another, and tells the gateways.
 * @param sha256 of the key, 64 hex digits in lower case
 * @throws Error when the record or the hash is malformed, or Redis cannot be reached
 */
export async function storeKeyRecord(
  redis: Redis | Cluster,
  sha256: string,
  record: KeyRecord,
): Promise<void> {
  const json = JSON.stringify(checkedKeyRecord(record));
  const transaction = redis.multi().set(recordKey(checkedHash(sha256)), json);
  await repliesOf(transaction.publish(keysChannel, wordOf(sha256)).exec());
}

/**
 * Removes a record and tells the gateways; false when there was none.
 * @throws Error when Redis cannot be reached
 */
export async function removeKeyRecord(redis: Redis | Cluster, sha256: string): Promise<boolean> {
  const transaction = redis.multi().del(recordKey(checkedHash(sha256)));
  const [removed] = await repliesOf(transaction.publish(keysChannel, wordOf(sha256)).exec());
  return removed === 1;
}

/**
 * The record of a key, undefined when there is none.
 * @throws Error when it cannot be read, so that nobody takes a damaged key for an unknown one, or Redis cannot be reached
 */
export async function findKeyRecord(redis: Redis | Cluster, sha256: string): Promise<KeyRecord | undefined> {
  const json = await redis.get(recordKey(checkedHash(sha256)));
  return json === null ? undefined : parseKeyRecord(json);
}

// Replaces a record that is still the one that was read, and tells the gateways.
// KEYS[1] the record · ARGV its old text, its new text, channel, message · reply 1 when it was replaced
const replaceScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1`;

/**
 * Changes a record that others may be changing too: `change` is asked again when somebody was faster.
 * @returns the record as it is now, undefined when there is none
 * @throws Error when the record cannot be read or its change is malformed, or Redis cannot be reached
 */
export async function changeKeyRecord(
  redis: Redis | Cluster,
  sha256: string,
  change: (record: KeyRecord) => KeyRecord,
): Promise<KeyRecord | undefined> {
  const key = recordKey(checkedHash(sha256));
  for (let attempt = 0; attempt < changeAttemptsMax; attempt++) {
    const before = await redis.get(key);
    if (before === null) return undefined;
    const record = checkedKeyRecord(change(parseKeyRecord(before)));
    const after = JSON.stringify(record);
    if ((await redis.eval(replaceScript, 1, key, before, after, keysChannel, wordOf(sha256))) === 1) {
      return record;
    }
  }
  throw new Error('others keep changing this key; try again');
}

/**
 * All records, in no order; one stored or removed meanwhile may or may not be among them.
 * @throws Error when Redis cannot be reached
 */
export async function* listKeyRecords(redis: Redis | Cluster): AsyncGenerator<StoredKey, void, undefined> {
  const nodes = redis instanceof Cluster ? redis.nodes('master') : [redis];
  const seen = new Set<string>(); // SCAN may repeat itself, and a slot may move while we read
  for (const node of nodes) {
    const options = { match: recordKey('*'), count: scanCount };
    for await (const names of node.scanStream(options) as AsyncIterable<string[]>) {
      const hashes = names.map((name) => name.slice(recordKey('').length));
      const fresh = hashes.filter((sha256) => sha256Form.test(sha256) && !seen.has(sha256));
      for (const sha256 of fresh) seen.add(sha256);
      for (const found of await Promise.all(fresh.map((sha256) => storedKey(redis, sha256)))) {
        if (found !== undefined) yield found;
      }
    }
  }
}

async function storedKey(redis: Redis | Cluster, sha256: string): Promise<StoredKey | undefined> {
  const json = await redis.get(recordKey(sha256));
  if (json === null) return undefined;
  try {
    return { sha256, record: parseKeyRecord(json) };
  } catch (cause) {
    return { sha256, record: undefined, unreadable: cause instanceof Error ? cause.message : String(cause) };
  }
}

const wordOf = (sha256: string): string => JSON.stringify({ keyId: keyIdOfHash(sha256) });

/** Anything else, a secret above all, must not become the name of a Redis key. */
function checkedHash(sha256: string): string {
  if (!sha256Form.test(sha256)) throw new Error('a key is stored under its SHA-256 in 64 hex digits');
  return sha256;
}

async function repliesOf(
  execution: Promise<[error: Error | null, result: unknown][] | null>,
): Promise<unknown[]> {
  const replies = (await execution) ?? [];
  for (const [error] of replies) if (error) throw error;
  return replies.map(([, result]) => result);
}
