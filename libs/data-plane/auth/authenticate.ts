/** The authenticate stage: finds the key in a request, keeps guessers out, and asks the pipeline. */
import { GatewayError } from '@llmproxy/errors';
import { pathOf, type Inbound } from '@llmproxy/exchange';
import { anonymous, type Caller } from './core/caller.ts';
import { presentedKey } from './core/credential-headers.ts';
import type { FailureThrottle } from './failure-throttle.ts';
import type { KeyPipeline } from './pipeline.ts';

interface AuthenticateOptions {
  /** Headers that may hold the key, in the order they are tried. */
  readonly headerNames: readonly string[];
  /** Paths that begin with one of these need no key. */
  readonly skipPaths?: readonly string[];
  readonly pipeline: Pick<KeyPipeline, 'check' | 'unknown'>;
  /** Address of the client, behind trusted proxies. */
  clientIp(inbound: Inbound): string;
  /** Undefined: failures are not throttled. */
  readonly throttle?: Pick<FailureThrottle, 'refusal' | 'failed'> | undefined;
}

/**
 * Makes the authenticate stage. Nobody is asked for the key of an address that failed too often. It throws (or rejects
 * with) `invalid_api_key`, `key_not_active`, `ip_not_allowed`, `insufficient_quota`, `access_denied`,
 * `rate_limit_exceeded` or `auth_unavailable`.
 */
export function createAuthenticate(
  options: AuthenticateOptions,
): (inbound: Inbound) => Caller | Promise<Caller> {
  const { skipPaths = [], pipeline, clientIp, throttle } = options;
  const headerNames = options.headerNames.map((name) => name.toLowerCase());
  const missing = missingMessage(headerNames);

  const check = (inbound: Inbound, ip: string): Caller | Promise<Caller> => {
    const secret = presentedKey((name) => inbound.header(name), headerNames);
    return secret === undefined ? pipeline.unknown(ip, missing) : pipeline.check(secret, ip, inbound);
  };
  if (throttle === undefined && skipPaths.length === 0) return (inbound) => check(inbound, clientIp(inbound));

  const noteFailure = (error: unknown, ip: string): never => {
    if (error instanceof GatewayError && error.code === 'invalid_api_key') void throttle?.failed(ip);
    throw error;
  };
  return (inbound) => {
    const ip = clientIp(inbound);
    if (isSkipped(inbound.target, skipPaths)) return { ...anonymous, ip };
    const retryAfterMs = throttle?.refusal(ip);
    if (retryAfterMs !== undefined) throw tooManyFailures(retryAfterMs);
    try {
      const caller = check(inbound, ip);
      if (!(caller instanceof Promise)) return caller;
      return caller.catch((error: unknown) => noteFailure(error, ip));
    } catch (error) {
      return noteFailure(error, ip);
    }
  };
}

function isSkipped(target: string, skipPaths: readonly string[]): boolean {
  if (skipPaths.length === 0) return false;
  const path = pathOf(target);
  return skipPaths.some((prefix) => path.startsWith(prefix));
}

function tooManyFailures(retryAfterMs: number): GatewayError {
  return new GatewayError(
    'rate_limit_exceeded',
    'Too many failed authentications from your address. Try later.',
    {
      headers: {
        'retry-after': String(Math.ceil(retryAfterMs / 1000)),
        'retry-after-ms': String(Math.ceil(retryAfterMs)),
      },
    },
  );
}

function missingMessage(headerNames: readonly string[]): string {
  const bare = headerNames.filter((name) => name !== 'authorization');
  const others = bare.length === 0 ? '' : ` or in ${bare.join(', ')}`;
  return `No API key was sent. Send it as "Authorization: Bearer <key>"${others}.`;
}
