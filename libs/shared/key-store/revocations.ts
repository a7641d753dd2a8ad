/**
 * Word of every changed key, on the channel `lp:keys`: `{"keyId": "<32 hex>"}` or `{"all": true}`. Whoever holds what a
 * key may do in memory forgets it then, whichever source the key came from.
 */
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

export interface FollowRevocations {
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
export function followRevocations({ subscriber, onForget, onForgetAll }: FollowRevocations): {
  close(): void;
} {
  let closed = false;
  const onMessage = (channel: string, message: string): void => {
    if (channel !== keysChannel) return;
    const revocation = parsed(message);
    if (revocation !== undefined && 'keyId' in revocation) onForget(revocation.keyId);
    else onForgetAll();
  };
  // ioredis subscribes again after a reconnection, but only where the first subscription was accepted.
  const subscribe = (): void => {
    subscriber.subscribe(keysChannel).then(
      () => closed || onForgetAll(),
      () => undefined, // lost again: the next `ready` tries anew
    );
  };
  subscriber.on('message', onMessage);
  subscriber.on('ready', subscribe);
  subscriber.on('-node', onForgetAll); // of a cluster: perhaps the one listened to
  if (subscriber.status === 'ready') subscribe();
  return {
    close() {
      closed = true;
      subscriber.off('message', onMessage);
      subscriber.off('ready', subscribe);
      subscriber.off('-node', onForgetAll);
      subscriber.unsubscribe(keysChannel).catch(() => undefined);
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
