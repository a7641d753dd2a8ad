/**
 * Word of every changed key, on the channel `lp:keys`: `{"keyId": "<32 hex>"}` or `{"all": true}`. Whoever holds what a
 * key may do in memory forgets it then, whichever source the key came from.
 */
import { followChannel, type Subscription } from '@llmproxy/redis';
import type { Cluster, Redis } from 'ioredis';
import { z } from 'zod';

export const keysChannel = 'lp:keys';

const Revocation = z.union([
  z.strictObject({ keyId: z.string().regex(/^[0-9a-f]{32}$/) }),
  z.strictObject({ all: z.literal(true) }),
]);
export type Revocation = z.output<typeof Revocation>;

/**
 * Tells every gateway to forget one key, or all.
 * @throws Error when Redis cannot be reached
 */
export async function publishRevocation(redis: Redis | Cluster, revocation: Revocation): Promise<void> {
  await redis.publish(keysChannel, JSON.stringify(revocation));
}

export interface FollowRevocations extends Subscription {
  /** A connection that may subscribe; it is neither opened nor closed here. */
  subscriber: Redis | Cluster;
  onForget(keyId: string): void;
  /** Also called when the subscription is (again) in place: what was published before then was not heard. */
  onForgetAll(): void;
}

/**
 * Follows the revocations for as long as it is not closed. A message that cannot be read forgets all. A client of a
 * Redis Cluster changes the node it listens to without a word; what is lost then, a cache's TTL heals.
 */
export function followRevocations(options: FollowRevocations): { close(): void } {
  const { subscriber, onForget, onForgetAll, onSubscribed, onRefused } = options;
  const hear = (message: string): void => {
    const revocation = parsed(message);
    if (revocation !== undefined && 'keyId' in revocation) onForget(revocation.keyId);
    else onForgetAll();
  };
  const channel = followChannel(subscriber, keysChannel, hear, {
    onSubscribed: (name) => {
      onForgetAll();
      onSubscribed?.(name);
    },
    onRefused,
  });
  subscriber.on('-node', onForgetAll); // of a cluster: perhaps the one listened to
  return {
    close() {
      subscriber.off('-node', onForgetAll);
      channel.close();
    },
  };
}

function parsed(message: string): Revocation | undefined {
  try {
    return Revocation.safeParse(JSON.parse(message)).data;
  } catch {
    return undefined;
  }
}
