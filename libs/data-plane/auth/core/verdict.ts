/** What a provider says of a presented key, and how several providers are asked in order. */

export interface Caller {
  /** First 128 bits of the SHA-256 of the key, in hex; null when authentication is off. */
  readonly keyId: string | null;
  readonly maskedKey: string | null;
  readonly name: string | null;
  readonly userId: string | null;
}

/** The caller when authentication is off. */
export const anonymous: Caller = { keyId: null, maskedKey: null, name: null, userId: null };

export type Verdict =
  | { kind: 'granted'; caller: Caller }
  | { kind: 'refused'; code: 'invalid_api_key' | 'key_not_active'; message: string; keyId?: string }
  | { kind: 'not-mine' };

/** Asks one source of keys. `not-mine` lets the next source answer. */
export type AuthProvider = (secret: string) => Verdict | Promise<Verdict>;

/** Asks the providers in order; the first that knows the key decides, for good or ill. */
export const firstDecisive =
  (providers: readonly AuthProvider[]): AuthProvider =>
  async (secret) => {
    for (const ask of providers) {
      const verdict = await ask(secret);
      if (verdict.kind !== 'not-mine') return verdict;
    }
    return {
      kind: 'refused',
      code: 'invalid_api_key',
      message: 'The API key is unknown. Check the key you configured.',
    };
  };
