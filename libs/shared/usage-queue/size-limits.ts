/**
 * What Redis takes in one piece. It is asked at each connect; where it does not tell (CONFIG is often forbidden), it is
 * assumed to take what it takes by default, and what it refuses is learned. A refusal for size is an error reply followed
 * by the end of the connection, and of a large piece often only the latter is seen: as in an outage. So a piece that is
 * lost with its connection again and again, while small writes succeed in between, counts as refused.
 */
import type { RedisClient } from '@llmproxy/redis';
import type { Cluster, Redis } from 'ioredis';
import type { SizeBounds } from './fit.ts';
import { batchBytesMax } from './queue-names.ts';
import { withDeadline } from '@llmproxy/time';

const mebibyte = 1_024 * 1_024;
/** Of `proto-max-bulk-len`; no Redis can be set to less than 1 MiB. */
const defaultBytes = 512 * mebibyte;
const leastBytes = mebibyte;
/** What a command carries besides the piece, the text of a script included. */
const besideBytes = 64 * 1_024;
/** One piece may take no larger share of the memory that Redis may use. */
const memoryShare = 8;
/** Smaller pieces are never suspected: Redis refuses none. */
const suspectBytes = mebibyte / 2;
const lossesMax = 3;
/** What was learned may be about a server that has been replaced, or mended. */
const learnedMs = 10 * 60_000;
const askMsMax = 1_000;
const suspectsMax = 1_000;

export class SizeLimits {
  #toldBytes = defaultBytes;
  #mayAsk = true;
  #learned: { bytes: number; untilMs: number } | undefined;
  /** How often a large batch was lost, by its id. */
  readonly #losses = new Map<string, number>();

  /** @param count events in a batch */
  bounds(count: number): SizeBounds {
    const single = this.#bytesMax();
    return { count, bytes: Math.min(batchBytesMax, single), single };
  }

  /** Asks the server, of a cluster each; what it does not tell stays as it is by default. Never rejects. */
  async ask(client: RedisClient): Promise<void> {
    const servers: (Redis | Cluster)[] = 'nodes' in client ? client.nodes('master') : [client];
    const told = await Promise.all(servers.map((server) => withDeadline(this.#toldBy(server), askMsMax)))
      // It does not answer: the next write will show that.
      .catch(() => [defaultBytes]);
    this.#toldBytes = Math.min(...told, defaultBytes);
  }

  /** The batch was taken: what was lost before was not its fault. */
  took(id: string): void {
    this.#losses.delete(id);
  }

  /** The batch was not taken. @returns true when that is for its size, as far as can be told */
  failed(id: string, bytes: number, cause: unknown): boolean {
    if (!isRefusal(cause) && !this.#isLostTooOften(id, bytes, cause)) return false;
    this.#losses.delete(id);
    const half = Math.max(Math.floor(bytes / 2), Math.min(leastBytes, bytes - 1));
    this.#learned = { bytes: Math.min(half, this.#bytesMax()), untilMs: performance.now() + learnedMs };
    return true;
  }

  #bytesMax(): number {
    const { bytes, untilMs } = this.#learned ?? { bytes: Infinity, untilMs: 0 };
    return performance.now() < untilMs ? Math.min(bytes, this.#toldBytes) : this.#toldBytes;
  }

  async #toldBy(server: Redis | Cluster): Promise<number> {
    const [bulk, buffer, info] = await Promise.all([
      this.#setting(server, 'proto-max-bulk-len'),
      this.#setting(server, 'client-query-buffer-limit'),
      server.info('memory').catch(() => ''),
    ]);
    const memory = Number(/^maxmemory:(\d+)/m.exec(info)?.[1] ?? 0);
    const share = memory === 0 ? Infinity : Math.max(memory / memoryShare, besideBytes);
    return Math.floor(Math.min(bulk, buffer - besideBytes, share));
  }

  /** Infinity when it is not told. A refusal is not provoked again: each is an entry in ACL LOG. */
  async #setting(server: Redis | Cluster, name: string): Promise<number> {
    if (!this.#mayAsk) return Infinity;
    try {
      const [, value] = (await server.config('GET', name)) as string[];
      return value === undefined ? Infinity : Number(value);
    } catch (cause) {
      if (isReply(cause)) this.#mayAsk = false;
      return Infinity;
    }
  }

  #isLostTooOften(id: string, bytes: number, cause: unknown): boolean {
    if (bytes < suspectBytes || isReply(cause)) return false;
    if (this.#losses.size >= suspectsMax) this.#losses.clear();
    const losses = (this.#losses.get(id) ?? 0) + 1;
    this.#losses.set(id, losses);
    return losses >= lossesMax;
  }
}

/** Whether the server answered, with an error; otherwise nobody knows what became of the command. */
export const isReply = (cause: unknown): boolean => cause instanceof Error && cause.name === 'ReplyError';

const isRefusal = (cause: unknown): boolean =>
  isReply(cause) && cause instanceof Error && cause.message.includes('Protocol error');
