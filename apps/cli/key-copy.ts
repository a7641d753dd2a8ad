/** `llmproxy keys restore`, and keys that Redis has lost for the commands that still have to do with them. */
import type { Config } from '@llmproxy/config';
import { copyFileIn, readCopy } from '@llmproxy/key-copy';
import { keyIdOfHash, parseKeyRecord, restoreKeyRecord, type StoredKey } from '@llmproxy/key-store';
import type { RedisClient } from '@llmproxy/redis';
import { readArguments } from './arguments.ts';
import type { Output } from './keys.ts';

/** A key of a scheduler's copy. */
export type CopiedKey = StoredKey & { readonly text: string };

/**
 * The keys of a copy, removed ones excepted.
 * @param from file of the copy; default: that of a scheduler with this config
 * @throws Error when it cannot be read, or is not there and was named
 */
export async function copiedKeys(config: Config, from: string | undefined): Promise<CopiedKey[]> {
  const copy = await readCopy(from ?? copyFileIn(config.data_dir));
  if (copy === undefined && from !== undefined) throw new Error(`there is no ${from}`);
  return [...(copy?.records ?? [])].map(([sha256, text]) => copiedKey(sha256, text));
}

function copiedKey(sha256: string, text: string): CopiedKey {
  try {
    return { sha256, text, record: parseKeyRecord(text) };
  } catch (cause) {
    const unreadable = cause instanceof Error ? cause.message : String(cause);
    return { sha256, text, record: undefined, unreadable };
  }
}

export const restoreOptions = {
  config: { type: 'string', short: 'c' },
  from: { type: 'string' },
} as const;

/** What to restore, as the command line says it; without `wanted`, all that is missing. */
export function restoreArguments(args: string[]): {
  config: string | undefined;
  from: string | undefined;
  wanted: string[];
} {
  const { values, positionals } = readArguments({ args, options: restoreOptions, words: Infinity });
  return { config: values.config, from: values.from, wanted: positionals };
}

/**
 * Puts keys of the copy back that are missing in Redis.
 * @returns how many
 * @throws Error when one that is wanted is not in the copy, or Redis cannot be reached
 */
export async function restoreKeys(
  redis: RedisClient,
  copied: readonly CopiedKey[],
  wanted: readonly string[],
  out: Output,
): Promise<number> {
  const isMeant = ({ sha256, record }: CopiedKey, by: string): boolean =>
    keyIdOfHash(sha256) === by.toLowerCase() || record?.name === by;
  for (const by of wanted)
    if (!copied.some((key) => isMeant(key, by))) throw new Error(`the copy has no key "${by}"`);
  let restored = 0;
  for (const key of copied) {
    if (wanted.length > 0 && !wanted.some((by) => isMeant(key, by))) continue;
    if (!(await restoreKeyRecord(redis, key.sha256, key.text))) continue;
    restored += 1;
    out.result(`${keyIdOfHash(key.sha256)} ${JSON.stringify(key.record?.name ?? null)}`);
  }
  return restored;
}
