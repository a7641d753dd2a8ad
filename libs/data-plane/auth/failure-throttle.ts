/**
 * Keeps out who guesses keys. Failed authentications are counted per client address, an IPv6 one by its /64: in this
 * process and, through Redis, for all gateways together. Without Redis each process goes on by itself. Successes cost
 * one look into a map.
 */
import { ipScope } from '@llmproxy/client-ip';
import { followChannel, type Subscription } from '@llmproxy/redis';
import type { Clock } from '@llmproxy/time';
import type { Cluster, Redis } from 'ioredis';
import { FailureCount, type FailurePolicy } from './core/failure-count.ts';
import { isObject } from './core/key-fields.ts';
import { blockedChannel, countFailure } from './count-failure.ts';

export interface FailureThrottleOptions extends FailurePolicy {
  readonly clock: Clock;
  /** Neither is opened nor closed here; undefined: counted in this process only. */
  readonly shared?: Subscription & {
    /** Best one whose commands fail while Redis is away. */
    readonly redis: Redis | Cluster;
    /** A connection that may subscribe. */
    readonly subscriber: Redis | Cluster;
  };
}

export interface FailureThrottle {
  /** For how long this address is refused, in ms; undefined: it is not. */
  refusal(ip: string): number | undefined;
  /** Counts a failure: at once in this process; for the others when the promise, which never rejects, resolves. */
  failed(ip: string): Promise<void>;
  close(): void;
}

const scopesMax = 10_000;

export function openFailureThrottle(options: FailureThrottleOptions): FailureThrottle {
  const { clock, shared, failuresMax, windowMs, blockMs } = options;
  const policy = { failuresMax, windowMs, blockMs };
  const count = new FailureCount(policy, scopesMax);
  const block = (scope: string, forMs: number) => count.block(scope, clock.monotonic() + forMs);
  const channel =
    shared &&
    followChannel(
      shared.subscriber,
      blockedChannel,
      (message) => {
        const blocked = parsed(message);
        if (blocked) block(blocked.scope, blocked.blockMs);
      },
      shared,
    );
  return {
    refusal: (ip) => count.blockedMs(ipScope(ip), clock.monotonic()) || undefined,
    async failed(ip) {
      const scope = ipScope(ip);
      count.failed(scope, clock.monotonic());
      if (!shared) return;
      try {
        const blockedMs = await countFailure(shared.redis, { ...policy, scope });
        if (blockedMs > 0) block(scope, blockedMs);
      } catch {
        // Redis is away: whoever owns the connection logs it, and this process has counted.
      }
    },
    close: () => channel?.close(),
  };
}

function parsed(message: string): { scope: string; blockMs: number } | undefined {
  try {
    const value: unknown = JSON.parse(message);
    if (!isObject(value)) return undefined;
    const { scope, blockMs } = value;
    return typeof scope === 'string' && typeof blockMs === 'number' ? { scope, blockMs } : undefined;
  } catch {
    return undefined;
  }
}
