import type { RedisClient } from './connect.ts';

/**
 * Hears what is published on a channel, again after each reconnection.
 * @param subscriber a connection that may subscribe; it is neither opened nor closed here
 * @param onSubscribed called each time the subscription is in place: what was published before then was not heard
 */
export function followChannel(
  subscriber: RedisClient,
  channel: string,
  hear: (message: string) => void,
  onSubscribed: () => void = () => undefined,
): { close(): void } {
  let closed = false;
  const onMessage = (from: string, message: string): void => {
    if (from === channel) hear(message);
  };
  // ioredis subscribes again after a reconnection, but only where the first subscription was accepted.
  const subscribe = (): void => {
    subscriber.subscribe(channel).then(
      () => {
        if (!closed) onSubscribed();
      },
      () => undefined, // lost again: the next `ready` tries anew
    );
  };
  subscriber.on('message', onMessage);
  subscriber.on('ready', subscribe);
  if (subscriber.status === 'ready') subscribe();
  return {
    close() {
      closed = true;
      subscriber.off('message', onMessage);
      subscriber.off('ready', subscribe);
      subscriber.unsubscribe(channel).catch(() => undefined);
    },
  };
}
