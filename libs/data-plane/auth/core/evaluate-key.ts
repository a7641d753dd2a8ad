/** Whether a key that was found may be used now. */

export type KeyStatus = 'active' | 'disabled' | 'expired' | 'quota_exceeded';

export interface KeyTerms {
  readonly status: KeyStatus;
  /** Unix time in ms before which the key is not valid; null = no bound. */
  readonly startsAtMs: number | null;
  /** Unix time in ms from which the key is no longer valid; null = never. */
  readonly expiresAtMs: number | null;
}

/** The reason why a key is refused, for its owner; undefined when it may be used. */
export function refusalOf(terms: KeyTerms, nowMs: number): string | undefined {
  switch (terms.status) {
    case 'disabled':
      return 'This API key is disabled.';
    case 'expired':
      return 'This API key has expired.';
    case 'quota_exceeded':
      return 'The quota of this API key is used up.';
    case 'active':
      break;
    default:
      return terms.status satisfies never;
  }
  if (terms.startsAtMs !== null && nowMs < terms.startsAtMs) {
    return `This API key is not valid before ${new Date(terms.startsAtMs).toISOString()}.`;
  }
  if (terms.expiresAtMs !== null && nowMs >= terms.expiresAtMs) {
    return `This API key expired at ${new Date(terms.expiresAtMs).toISOString()}.`;
  }
  return undefined;
}
