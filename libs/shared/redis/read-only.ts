/**
 * Failover behind a fixed address (a load balancer, a DNS name): the primary of before has become a replica, but the
 * connections to it stay open, and each write is refused on them for ever. A connection made anew finds the new primary.
 */
import type { RedisOptions } from 'ioredis';
import { backOff } from './timing.ts';

/** The second form is that of scripts before Redis 7. */
const isReadOnly = (error: Error): boolean => /(^|-)READONLY /.test(error.message);

/** After so long without a refusal it is another failover. */
const sameFailoverMs = 10_000;

/**
 * Of one connection: a READONLY answer makes it anew, ever less often while the address still leads to a replica.
 * @param waits whether what was refused is sent again instead of failing
 */
export function leavingReplicas(
  waits: boolean,
): Required<Pick<RedisOptions, 'reconnectOnError' | 'retryStrategy'>> {
  let refusedAtMs = -Infinity;
  let isRefused = false;
  let inARow = 0;
  return {
    reconnectOnError(error) {
      if (!isReadOnly(error)) return false;
      isRefused = true;
      return waits ? 2 : 1; // 2: sends it again, unless it is part of a transaction, which is refused whole
    },
    retryStrategy(attempt) {
      const nowMs = performance.now();
      if (nowMs - refusedAtMs > sameFailoverMs) inARow = 0;
      if (isRefused) {
        inARow += 1;
        refusedAtMs = nowMs;
        isRefused = false;
      }
      return backOff(Math.max(attempt, inARow));
    },
  };
}
