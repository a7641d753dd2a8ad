import type { RedisClient } from './connect.ts';

/** What becomes of a subscription. */
export interface Subscription {
  /** It is (again) in place: what was published before then was not heard. */
  onSubscribed?: ((channel: string) => void) | undefined;
  /** Redis refuses it, as it does to a user that may not read the channel; it is asked for again until it is granted. */
  onRefused?: ((channel: string, cause: string) => void) | undefined;
}

const askAgainMs = 1000;

/**
 * Hears what is published on a channel, again after each reconnection.
 * @param subscriber a connection that may subscribe; it is neither opened nor closed here
 */
export function followChannel(
  subscriber: RedisClient,
  channel: string,
  hear: (message: string) => void,
  { onSubscribed = () => undefined, onRefused = () => undefined }: Subscription = {},
): { close(): void } {
  let closed = false;
  let again: NodeJS.Timeout | undefined;
  const onMessage = (from: string, message: string): void => {
    if (from === channel) hear(message);
  };
  const subscribe = async (): Promise<void> => {
    clearTimeout(again);
    try {
      await subscriber.subscribe(channel);
      if (!closed) onSubscribed(channel);
    } catch (cause) {
      // Lost: the next `ready` tries anew. Refused: somebody may grant it while the connection lasts.
      if (closed || subscriber.status !== 'ready') return;
      if (cause instanceof Error && cause.name === 'ReplyError') onRefused(channel, cause.message);
      again = setTimeout(() => void subscribe(), askAgainMs).unref();
    }
  };
  const onReady = () => void subscribe();
  subscriber.on('message', onMessage);
  subscriber.on('ready', onReady);
  if (subscriber.status === 'ready') onReady();
  return {
    close() {
      closed = true;
      clearTimeout(again);
      subscriber.off('message', onMessage);
      subscriber.off('ready', onReady);
      subscriber.unsubscribe(channel).catch(() => undefined);
    },
  };
}
