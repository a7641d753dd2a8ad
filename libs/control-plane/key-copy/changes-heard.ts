/**
 * What was published about keys since the last look, and whether that is all: only while the subscription has been in
 * place the whole time, and never on a Redis Cluster, whose client changes the server it listens to without a word.
 */
import { followRevocations, publishRevocation } from '@llmproxy/key-store';
import { Cluster } from 'ioredis';
import type { RedisClient } from '@llmproxy/redis';
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

const echoMsMax = 2_000;
/** Ids that no key has: what schedulers call into the channel to hear it come back. */
const echoPrefix = '0'.repeat(16);

export interface ChangesHeard {
  /** The keys, by their ids, that were heard of since this was called last; undefined where they may not be all. */
  take(): ReadonlySet<string> | undefined;
  /** What was heard since then, and will be taken next. */
  sinceTaken(): ReadonlySet<string> | undefined;
  /** What was taken was not used: what is taken next is not all. */
  wasted(): void;
  /** Resolves when all that was published before has been heard; false when that cannot be known. */
  caughtUp(redis: RedisClient): Promise<boolean>;
  close(): void;
}

/**
 * @param subscriber a connection that may subscribe; neither opened nor closed here
 * @param onHeard called after each change that was heard of
 */
export function hearChanges(subscriber: RedisClient, onHeard: () => void): ChangesHeard {
  return new Hearer(subscriber, onHeard);
}

class Hearer implements ChangesHeard {
  readonly #subscriber: RedisClient;
  readonly #feed: { close(): void };
  readonly #echoes = new Map<string, () => void>();
  #ids = new Set<string>();
  #isListening = false;
  #isWhole = false;

  constructor(subscriber: RedisClient, onHeard: () => void) {
    this.#subscriber = subscriber;
    subscriber.on('close', this.#lost);
    this.#feed = followRevocations({
      subscriber,
      onForget: (keyId) => {
        if (keyId.startsWith(echoPrefix)) return this.#echoes.get(keyId)?.();
        this.#ids.add(keyId);
        onHeard();
      },
      onForgetAll: () => {
        this.#isWhole = false;
        onHeard();
      },
      onSubscribed: () => (this.#isListening = !(subscriber instanceof Cluster)),
    });
  }

  take(): ReadonlySet<string> | undefined {
    const heard = this.sinceTaken();
    this.#ids = new Set();
    this.#isWhole = this.#isListening;
    return heard;
  }

  sinceTaken(): ReadonlySet<string> | undefined {
    return this.#isWhole ? this.#ids : undefined;
  }

  wasted(): void {
    this.#isWhole = false;
  }

  async caughtUp(redis: RedisClient): Promise<boolean> {
    // The messages before it have arrived when it comes back.
    const keyId = `${echoPrefix}${randomBytes(8).toString('hex')}`;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#echoes.set(keyId, () => resolve(true));
    const tooLong = new AbortController();
    try {
      await publishRevocation(redis, { keyId });
      const late = delay(echoMsMax, false, { signal: tooLong.signal }).catch(() => false);
      return (await Promise.race([promise, late])) && this.#isWhole;
    } finally {
      tooLong.abort();
      this.#echoes.delete(keyId);
    }
  }

  close(): void {
    this.#subscriber.off('close', this.#lost);
    this.#feed.close();
  }

  readonly #lost = (): void => {
    this.#isListening = false;
    this.#isWhole = false;
  };
}
