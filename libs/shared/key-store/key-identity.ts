/** What may stand for a key wherever its secret must not appear. */
import { hash } from 'node:crypto';

/** SHA-256 of a key in 64 hex digits: what the store knows a key by. */
export function hashOfKey(secret: string): string {
  return hash('sha256', secret, 'hex');
}

/** Identity of a key in events, limits and messages: the first 128 bits of its SHA-256, in 32 hex digits. */
export function keyIdOfHash(sha256: string): string {
  return sha256.slice(0, 32);
}

/** A key as people may see it: first and last four characters, or nothing of one too short to hide. */
export function maskKey(secret: string): string {
  return secret.length <= 8 ? '***' : `${secret.slice(0, 4)}***${secret.slice(-4)}`;
}
