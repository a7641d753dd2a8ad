/** Keys listed in the config or a file. Guarantee: after loading, no secret is held, only its hash and mask. */
import { hash } from 'node:crypto';
import { refusalOf, type KeyTerms } from './core/evaluate-key.ts';
import { maskKey } from './core/mask-key.ts';
import type { AuthProvider, Caller } from './core/verdict.ts';

export interface KeyRecord extends KeyTerms {
  readonly key: string;
  readonly name: string | null;
  readonly userId: string | null;
}

/** Identity of a key wherever its secret must not appear: the first 128 bits of its SHA-256, in hex. */
export function keyIdOf(secret: string): string {
  return hash('sha256', secret, 'hex').slice(0, 32);
}

/**
 * A provider over a fixed list of keys. Looking up by hash takes the same time for every unknown key.
 * @param nowMs unix time in ms, for `starts_at` and `expires_at`
 */
export function openKeyring(records: readonly KeyRecord[], nowMs: () => number): AuthProvider {
  const byId = new Map(records.map((record) => entryOf(record)));
  return (secret) => {
    const entry = byId.get(keyIdOf(secret));
    if (!entry) return { kind: 'not-mine' };
    const refusal = refusalOf(entry.terms, nowMs());
    if (refusal === undefined) return entry.granted;
    return { kind: 'refused', code: 'key_not_active', message: refusal, keyId: entry.granted.caller.keyId };
  };
}

function entryOf({ key, name, userId, status, startsAtMs, expiresAtMs }: KeyRecord) {
  const keyId = keyIdOf(key);
  const caller: Caller & { keyId: string } = { keyId, maskedKey: maskKey(key), name, userId };
  const terms: KeyTerms = { status, startsAtMs, expiresAtMs };
  return [keyId, { terms, granted: { kind: 'granted' as const, caller } }] as const;
}
