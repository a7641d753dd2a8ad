/** A pool of connections to one backend: as many as requests are under way, the idle ones reused, newest first. */
import type { Forwarder } from '@llmproxy/exchange';
import { createAnswerMemory } from './core/response-start.ts';
import { Http1Attempt } from './http1-attempt.ts';
import { Http1Connection, type Clocks, type ConnectionOwner } from './http1-connection.ts';
import { originOf } from './origin.ts';

export interface Http1ForwarderOptions {
  /** Scheme (http or https), host and port. */
  origin: string;
  connectTimeoutMs: number;
  /** Longest wait for the response head, and longest silence inside a body; 0 = for ever. */
  timeoutMs: number;
}

// Below the 5 s after which uvicorn (vLLM, SGLang) closes an idle connection, so that we close first.
const idleConnectionMs = 4_000;

/**
 * Opens the pool; connections are made when requests need them. Timeouts are kept to within a quarter of the shortest
 * one, and to within a second.
 */
export function openHttp1Forwarder(options: Http1ForwarderOptions): Forwarder & { close(): Promise<void> } {
  const all = new Set<Http1Connection>();
  const idle: Http1Connection[] = [];
  const owner: ConnectionOwner = {
    origin: originOf(options.origin),
    memory: createAnswerMemory(),
    tlsSession: undefined,
    idle: (connection) => void idle.push(connection),
    closed: (connection) => {
      all.delete(connection);
      const index = idle.indexOf(connection);
      if (index !== -1) idle.splice(index, 1);
    },
  };
  const clocks: Clocks = { ...options, idleMs: idleConnectionMs };
  const sweep = setInterval(() => {
    const nowMs = performance.now();
    for (const connection of all) connection.sweep(nowMs, clocks);
  }, sweepMs(clocks));
  sweep.unref();
  const take = (): Http1Connection => {
    const nowMs = performance.now();
    for (let connection = idle.pop(); connection; connection = idle.pop()) {
      if (connection.usable && !connection.isStale(nowMs, clocks.idleMs)) return connection;
      connection.destroy();
    }
    const connection = new Http1Connection(owner);
    all.add(connection);
    return connection;
  };
  return {
    attempt(outgoing) {
      const attempt = new Http1Attempt(outgoing.method);
      take().carry(attempt, outgoing);
      return attempt;
    },
    close: async () => {
      clearInterval(sweep);
      for (const connection of all) connection.destroy();
    },
  };
}

function sweepMs({ connectTimeoutMs, timeoutMs }: Clocks): number {
  const shortest = timeoutMs > 0 ? Math.min(connectTimeoutMs, timeoutMs) : connectTimeoutMs;
  return Math.max(5, Math.min(shortest / 4, 1_000));
}
