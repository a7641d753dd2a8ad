/** Where keys come from: what a source is asked, and what it answers. */
import { GatewayError } from '@llmproxy/errors';
import type { KeyData } from './core/key-fields.ts';
import type { Metadata } from './core/caller.ts';

/** What is known of a request when its key is looked up. */
export interface AuthRequest {
  readonly secret: string;
  /** SHA-256 of the secret, 64 hex digits. */
  readonly secretHash: string;
  /** The first 32 of them. */
  readonly keyId: string;
  /** Address of the client. */
  readonly ip: string;
  readonly method: string;
  /** Path without the query. */
  readonly path: string;
  /** Names and values in turn. */
  readonly rawHeaders: readonly string[];
}

/** Something that knows keys. */
export interface KeySource {
  /**
   * What is known of the key; undefined when it is unknown here. Throws or rejects when that cannot be told.
   * @param signal aborted when the answer is no longer waited for
   */
  lookup(request: AuthRequest, signal: AbortSignal): KeyData | undefined | Promise<KeyData | undefined>;
  close?(): Promise<void>;
}

/** What a hook decided. Whatever is not plainly `allow: true` denies. */
export interface Decision {
  readonly allow: boolean;
  /** For the client, when it is denied. */
  readonly message?: string | undefined;
  /** Added to the metadata of the caller. */
  readonly metadata?: Metadata | undefined;
  /** Set when the denial is not the hook's own, but of a mistake in it: why, for the log alone. */
  readonly reasonForLog?: string | undefined;
}

/**
 * A hook that decides about a key that was found, in place of `status`, times, addresses, quota and balance.
 * @param metadata what hooks of earlier providers said of this caller
 */
export type Decide = (
  data: KeyData,
  request: AuthRequest,
  metadata: Metadata,
) => Decision | Promise<Decision>;

/** Something an operator should know of. It never holds a secret. */
export interface AuthProblem {
  readonly kind: 'source_failed' | 'key_unreadable' | 'hook_failed';
  readonly provider: string;
  readonly keyId: string;
  readonly reason: string;
}

/** A source that could not answer. The message is what went wrong, without the key. */
export class SourceFailure extends Error {
  constructor(provider: string, thrown: unknown, secret: string) {
    super(`${provider}: ${reasonOf(thrown, secret)}`);
    this.name = 'SourceFailure';
  }
}

const reasonLengthMax = 300;

/** What was thrown, in a line. Redis quotes the arguments of a command it refuses, so the key is cut out. */
export function reasonOf(thrown: unknown, secret: string): string {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  return (error.message || code).replaceAll(secret, '***').slice(0, reasonLengthMax);
}

/** What a client is told when its key cannot be checked. */
export const unavailable = (cause: SourceFailure): GatewayError =>
  new GatewayError('auth_unavailable', 'The API key cannot be checked at the moment. Try again.', {
    cause,
    headers: { 'retry-after': '1' },
  });
