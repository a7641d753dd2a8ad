import { GatewayError } from '@llmproxy/errors';
import type { Inbound } from '@llmproxy/exchange';
import { presentedKey } from './core/credential-headers.ts';
import type { AuthProvider, Caller } from './core/verdict.ts';

interface AuthenticateOptions {
  /** Headers that may hold the key, in the order they are tried. */
  headerNames: readonly string[];
  provider: AuthProvider;
}

/** Makes the authenticate stage. It throws `invalid_api_key` or `key_not_active`. */
export function createAuthenticate(options: AuthenticateOptions): (inbound: Inbound) => Promise<Caller> {
  const headerNames = options.headerNames.map((name) => name.toLowerCase());
  const missing =
    `No API key was sent. Send it as "Authorization: Bearer <key>"` +
    (headerNames.some((name) => name !== 'authorization')
      ? ` or in ${headerNames.filter((name) => name !== 'authorization').join(', ')}.`
      : '.');
  return async (inbound) => {
    const secret = presentedKey((name) => inbound.header(name), headerNames);
    if (secret === undefined) throw new GatewayError('invalid_api_key', missing);
    const verdict = await options.provider(secret);
    if (verdict.kind === 'granted') return verdict.caller;
    if (verdict.kind === 'refused') throw new GatewayError(verdict.code, verdict.message);
    throw new GatewayError('invalid_api_key', 'The API key is unknown.');
  };
}
