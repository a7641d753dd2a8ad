/** Keys listed in the config or a file. Guarantee: after loading, no secret is held, only its hash and mask. */
import { hashOfKey, keyIdOfHash, maskKey } from '@llmproxy/key-store';
import type { KnownKey } from './core/caller.ts';
import type { KeyData } from './core/key-fields.ts';
import { keyTermsOf } from './core/key-terms.ts';

/** A fixed list of keys, by id. */
export interface Keyring {
  readonly keys: ReadonlyMap<string, KnownKey>;
}

/** Identity of a key wherever its secret must not appear: the first 128 bits of its SHA-256, in hex. */
export const keyIdOf = (secret: string): string => keyIdOfHash(hashOfKey(secret));

/**
 * Keys that are known from the start. Looking up by hash takes the same time for every unknown key.
 * @param records each with its `key`, and otherwise in the spelling of every source; of two with the same key the
 *   later one counts
 * @param readAtMs when the records were read, ms since 1970 UTC: what they say is used counts for that quota period
 */
export function openKeyring(
  records: readonly (KeyData & { readonly key: string })[],
  readAtMs: number,
): Keyring {
  return { keys: new Map(records.map((record) => knownFrom(record, readAtMs))) };
}

function knownFrom(
  { key, ...data }: KeyData & { readonly key: string },
  readAtMs: number,
): [string, KnownKey] {
  const read = keyTermsOf(data);
  const quota = read.quota && { ...read.quota, lastResetAtMs: read.quota.lastResetAtMs ?? readAtMs };
  const keyId = keyIdOf(key);
  return [keyId, { keyId, maskedKey: maskKey(key), data, terms: { ...read, quota } }];
}
