/** Keys that somebody else keeps in Redis: a hash, or JSON text, per key. */
import { UnreadableKey } from '@llmproxy/key-store';
import type { Cluster, Redis } from 'ioredis';
import { objectFrom, unreadable, type KeyData } from './core/key-fields.ts';
import type { KeySource } from './key-source.ts';

export interface RedisSourceOptions {
  /** Neither opened nor closed here. */
  readonly redis: Pick<Redis | Cluster, 'hgetall' | 'get'>;
  /** Name of a key's entry: `{api_key}` stands for the key, `{api_key_sha256}` for its SHA-256 in hex. */
  readonly keyPattern: string;
}

/**
 * A source over the entries of a Redis.
 * @throws Error when the pattern has no place for the key: every client would be let in by the same entry
 */
export function redisSource({ redis, keyPattern }: RedisSourceOptions): KeySource {
  if (!/\{api_key(?:_sha256)?\}/.test(keyPattern)) {
    throw new Error('the key pattern needs {api_key} or {api_key_sha256} where the key goes');
  }
  return {
    async lookup({ secret, secretHash }) {
      // In one go: a key that spells a placeholder is not replaced again.
      const name = keyPattern.replaceAll(/\{api_key(_sha256)?\}/g, (_, hashed?: string) =>
        hashed === undefined ? secret : secretHash,
      );
      return (await hashAt(redis, name)) ?? (await jsonAt(redis, name));
    },
  };
}

/** Undefined when something else than a hash is there. */
async function hashAt(redis: RedisSourceOptions['redis'], name: string): Promise<KeyData | undefined> {
  try {
    const hash = await redis.hgetall(name);
    return Object.keys(hash).length === 0 ? undefined : hash;
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('WRONGTYPE')) return undefined;
    throw error;
  }
}

async function jsonAt(redis: RedisSourceOptions['redis'], name: string): Promise<KeyData | undefined> {
  const text = await redis.get(name);
  if (text === null) return undefined;
  const data = objectFrom(text);
  if (data === unreadable || data === null)
    throw new UnreadableKey('the entry is neither a hash nor a JSON object');
  return data;
}
