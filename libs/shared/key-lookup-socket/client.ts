/** The gateway's end. */
import { Pool, type Dispatcher } from 'undici';
import {
  answerBytesMax,
  LookupAnswer,
  lookupPath,
  LookupRefusal,
  requestBytesMax,
  type FoundKey,
} from './contract.ts';

export interface KeyLookupOptions {
  /** Where the key-lookup process listens. */
  socketPath: string;
  /** Longest wait for an answer, at least 1. */
  timeoutMs: number;
  /** Lookups under way at once, the rest waits; default 64. */
  connectionsMax?: number;
}

export interface KeyLookup {
  /**
   * What the provider's table says of a key, undefined when it holds none.
   * @throws Error without the key in it, when there is no answer or none in time
   */
  find(provider: string, secret: string): Promise<FoundKey | undefined>;
  close(): Promise<void>;
}

/** Codes of a connection that the other end closed while it was idle, as after its restart: asking again is right. */
const stale = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/** Opens the gateway's end without connecting; a process that is not there yet is found once it is. */
export function openKeyLookup({ socketPath, timeoutMs, connectionsMax = 64 }: KeyLookupOptions): KeyLookup {
  const pool = new Pool('http://key-lookup', {
    connect: { socketPath, timeout: timeoutMs },
    connections: connectionsMax,
    pipelining: 1,
    maxResponseSize: answerBytesMax,
  });
  return {
    find: async (provider, secret) => {
      const body = JSON.stringify({ provider, key: secret });
      if (Buffer.byteLength(body) > requestBytesMax) return undefined; // no table holds such a key
      const signal = AbortSignal.timeout(timeoutMs);
      try {
        return await answerOf(await ask(pool, body, signal));
      } catch (cause) {
        throw failure(cause, signal.aborted, timeoutMs);
      }
    },
    // Not close(): it would wait for lookups that nobody waits for any more.
    close: () => pool.destroy(),
  };
}

async function ask(pool: Pool, body: string, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
  const request = () =>
    pool.request({
      method: 'POST',
      path: lookupPath,
      headers: { 'content-type': 'application/json' },
      body,
      signal,
    });
  try {
    return await request();
  } catch (cause) {
    if (!stale.has(String((cause as NodeJS.ErrnoException).code))) throw cause;
    return request();
  }
}

async function answerOf({ statusCode, body }: Dispatcher.ResponseData): Promise<FoundKey | undefined> {
  const answer = await body.json();
  if (statusCode === 200) return LookupAnswer.parse(answer).found ?? undefined;
  const { data } = LookupRefusal.safeParse(answer);
  throw new Error(data?.error ?? `status ${statusCode}`);
}

function failure(cause: unknown, late: boolean, timeoutMs: number): Error {
  if (late) return new Error(`key lookup: no answer within ${timeoutMs} ms`);
  return new Error(`key lookup: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}
