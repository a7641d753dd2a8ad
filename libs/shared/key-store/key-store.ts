/**
 * The built-in store: `lp:keys:<64 hex digits of the key's SHA-256>` → the key's record as JSON. The secret itself is
 * kept nowhere. A change and the word of it are one script: no gateway hears of what did not happen, and none misses
 * what did for longer than its cache lives. A removed key leaves a note in its place, for secrets are never used twice:
 * a record that is missing without one was lost, and may be restored.
 */
import { Cluster, type Redis } from 'ioredis';
import { randomUUID } from 'node:crypto';
import { keyIdOfHash } from './key-identity.ts';
import { asChange } from './changes.ts';
import {
  checkedKeyRecord,
  isNoRecord,
  isReservedText,
  parseKeyRecord,
  removedText,
  reservedText,
  type KeyRecord,
} from './key-record.ts';
import { keysChannel } from './revocations.ts';

const recordKey = (sha256: string): string => `${keysChannel}:${sha256}`;
const sha256Form = /^[0-9a-f]{64}$/;
const scanCount = 500;
const changeAttemptsMax = 10;

/** A record as it was found; one that cannot be read says why instead. */
export type StoredKey = { readonly sha256: string } & (
  { readonly record: KeyRecord } | { readonly record: undefined; readonly unreadable: string }
);

// KEYS[1] the record · ARGV its new text, channel, message · reply 0 when a note says that the key was removed
const storeScript = `
local now = redis.call('GET', KEYS[1])
if now and string.sub(now, 1, 14) == '{"removed_at":' then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1`;

/**
 * Writes a record, new or in place of another, and tells the gateways.
 * @param sha256 of the key, 64 hex digits in lower case
 * @throws Error when the record or the hash is malformed, the key was removed, or Redis cannot be reached
 */
export async function storeKeyRecord(
  redis: Redis | Cluster,
  sha256: string,
  record: KeyRecord,
): Promise<void> {
  const json = JSON.stringify(checkedKeyRecord(record));
  const key = recordKey(checkedHash(sha256));
  const isStored = await asChange(redis, () =>
    redis.eval(storeScript, 1, key, json, keysChannel, wordOf(sha256)),
  );
  if (isStored !== 1) throw new Error('this key was removed, which is for good: make a new one');
}

/** How long the note of a removal is kept in Redis. */
export const removedKeptMs = 90 * 24 * 60 * 60 * 1000;

// KEYS[1] the record · ARGV the note of its removal, its time to live in ms, channel, message · reply 1 when it was there
const removeScript = `
local was = redis.call('GET', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[4])
if was and string.sub(was, 1, 14) ~= '{"removed_at":' then return 1 end
return 0`;

/**
 * Removes a record for good and tells the gateways; false when there was none, of which a note is left all the same.
 * @throws Error when Redis cannot be reached
 */
export async function removeKeyRecord(redis: Redis | Cluster, sha256: string): Promise<boolean> {
  const key = recordKey(checkedHash(sha256));
  const note = removedText(Date.now());
  const was = await asChange(redis, () =>
    redis.eval(removeScript, 1, key, note, removedKeptMs, keysChannel, wordOf(sha256)),
  );
  return was === 1;
}

/**
 * Puts a record back because a person says so; false when there is one, or a note that it was removed. It is no change,
 * and not published as one: whoever remembers the key as unknown does so for a moment only.
 * @throws Error when Redis cannot be reached
 */
export async function restoreKeyRecord(
  redis: Redis | Cluster,
  sha256: string,
  text: string,
): Promise<boolean> {
  return (await redis.set(recordKey(checkedHash(sha256)), text, 'NX')) === 'OK';
}

const reservedMs = 10_000;

// Puts a record in the place that was kept for it. KEYS[1] the record · ARGV what keeps the place, the record · reply 1
// when nobody had touched it
const fillScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1`;

/** Places of lost records, kept for ten seconds. Whatever is done to such a key meanwhile takes its place away. */
export interface ReservedPlaces {
  /** Hashes of those that were free. */
  readonly hashes: readonly string[];
  /**
   * Puts a record in each of these places that nobody has touched since, and tells which those were.
   * @throws Error when Redis cannot be reached; some may be in place then
   */
  fill(texts: ReadonlyMap<string, string>): Promise<string[]>;
}

/**
 * The first half of putting back what Redis has lost: between the two whoever does so makes sure that none of it was
 * changed before. A change after that ends in another text than the one that keeps the place, whatever becomes of it.
 * Until the second half the keys are as unknown as before.
 * @throws Error when Redis cannot be reached
 */
export async function reservePlaces(
  redis: Redis | Cluster,
  hashes: readonly string[],
): Promise<ReservedPlaces> {
  const reserved = reservedText(randomUUID());
  const isFree = await Promise.all(
    hashes.map((sha256) => redis.set(recordKey(checkedHash(sha256)), reserved, 'PX', reservedMs, 'NX')),
  );
  return {
    hashes: hashes.filter((_, index) => isFree[index] === 'OK'),
    async fill(texts) {
      const isFilled = await Promise.all(
        [...texts].map(([sha256, text]) => redis.eval(fillScript, 1, recordKey(sha256), reserved, text)),
      );
      return [...texts.keys()].filter((_, index) => isFilled[index] === 1);
    },
  };
}

/**
 * The record of a key, undefined when there is none.
 * @throws Error when it cannot be read, so that nobody takes a damaged key for an unknown one, or Redis cannot be reached
 */
export async function findKeyRecord(redis: Redis | Cluster, sha256: string): Promise<KeyRecord | undefined> {
  const json = await redis.get(recordKey(checkedHash(sha256)));
  return json === null || isNoRecord(json) ? undefined : parseKeyRecord(json);
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
    if (before === null || isNoRecord(before)) return undefined;
    const record = checkedKeyRecord(change(parseKeyRecord(before)));
    const after = JSON.stringify(record);
    const isReplaced = await asChange(redis, () =>
      redis.eval(replaceScript, 1, key, before, after, keysChannel, wordOf(sha256)),
    );
    if (isReplaced === 1) return record;
  }
  throw new Error('others keep changing this key; try again');
}

/**
 * All records, in no order; one stored or removed meanwhile may or may not be among them.
 * @throws Error when Redis cannot be reached
 */
export async function* listKeyRecords(redis: Redis | Cluster): AsyncGenerator<StoredKey, void, undefined> {
  for await (const { sha256, text } of scanKeyTexts(redis)) {
    if (!isNoRecord(text)) yield storedKey(sha256, text);
  }
}

/** What lies under the name of a key: a record, or the note that it was removed. */
export interface KeyText {
  readonly sha256: string;
  readonly text: string;
}

/** The same as it is stored, notes of removed keys included. */
export async function* scanKeyTexts(redis: Redis | Cluster): AsyncGenerator<KeyText, void, undefined> {
  const nodes = redis instanceof Cluster ? redis.nodes('master') : [redis];
  const seen = new Set<string>(); // SCAN may repeat itself, and a slot may move while we read
  for (const node of nodes) {
    const options = { match: recordKey('*'), count: scanCount };
    for await (const names of node.scanStream(options) as AsyncIterable<string[]>) {
      const hashes = names.map((name) => name.slice(recordKey('').length));
      const fresh = hashes.filter((sha256) => sha256Form.test(sha256) && !seen.has(sha256));
      for (const sha256 of fresh) seen.add(sha256);
      yield* await readKeyTexts(redis, fresh);
    }
  }
}

/** What is stored of these keys; of those that are missing, nothing, even while their place is kept. */
export async function readKeyTexts(redis: Redis | Cluster, hashes: readonly string[]): Promise<KeyText[]> {
  const found: KeyText[] = [];
  for (let start = 0; start < hashes.length; start += scanCount) {
    const some = hashes.slice(start, start + scanCount);
    const texts = await Promise.all(some.map((sha256) => redis.get(recordKey(sha256))));
    for (const [index, sha256] of some.entries()) {
      const text = texts[index];
      if (typeof text === 'string' && !isReservedText(text)) found.push({ sha256, text });
    }
  }
  return found;
}

function storedKey(sha256: string, text: string): StoredKey {
  try {
    return { sha256, record: parseKeyRecord(text) };
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
