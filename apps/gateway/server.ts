/** The HTTP edge: one `serve` per request, and the one place that renders errors and records outcomes. */
import { createServer, type Server } from 'node:net';
import { toGatewayError, type GatewayError } from '@llmproxy/errors';
import { pathOf, type Inbound } from '@llmproxy/exchange';
import { refuse, type Relayed } from '@llmproxy/forwarding';
import { dialectOf } from '@llmproxy/routing';
import { parseListen } from '@llmproxy/telemetry';
import { inTurn, turnEnded } from '@llmproxy/turn';
import { Connection, type ConnectionClocks, type ConnectionOwner } from './http1/connection.ts';
import type { Exchange } from './http1/exchange.ts';
import { serve, type Settled, type Stages } from './pipeline.ts';

export interface ServerSettings extends ConnectionClocks {
  readonly headerBytesMax: number;
}

/** What became of one request, for the access log, the metrics and the usage event. */
export type Finished =
  | { kind: 'settled'; inbound: Inbound; settled: Settled }
  | { kind: 'refused'; inbound: Inbound; relayed: Relayed };

export interface ServerOptions {
  settings: ServerSettings;
  stages: Stages;
  /** Probes and metrics of the main listener; true when it has taken the request. */
  serveProbe(inbound: Inbound): boolean;
  record(finished: Finished): void;
  /** A connection that sent something that is no HTTP request, or a request that met a bug of ours. */
  recordBadRequest(error: GatewayError): void;
}

export interface GatewayServer {
  /** @throws the listener's error, for example EADDRINUSE */
  listen(address: string): Promise<string>;
  /** Stops accepting, lets open requests finish for up to `timeoutMs`, then breaks off the rest in band. */
  drain(timeoutMs: number): Promise<void>;
  readonly draining: boolean;
}

const sweepMsMax = 1_000;
// Long enough for a request that was on its way when the drain began.
const silentGraceMs = 500;
const lastWordsMs = 1_000;
const backlog = 4096;

export function createGatewayServer(options: ServerOptions): GatewayServer {
  const connections = new Set<Connection>();
  const state = { draining: false };
  const owner: ConnectionOwner = {
    headerBytesMax: options.settings.headerBytesMax,
    isClosing: () => state.draining,
    serve: (exchange) => void handle(exchange, options),
    badRequest: (error) => options.recordBadRequest(error),
    closed: (connection) => void connections.delete(connection),
  };
  const server = createServer({ noDelay: true }, (socket) => connections.add(new Connection(socket, owner)));
  const sweep = setInterval(
    () => {
      const nowMs = performance.now();
      for (const connection of connections) connection.sweep(nowMs, options.settings);
    },
    Math.min(options.settings.readTimeoutMs || sweepMsMax, sweepMsMax),
  );
  sweep.unref();
  return {
    get draining() {
      return state.draining;
    },
    listen: (address) => listen(server, address),
    drain: async (timeoutMs) => {
      state.draining = true;
      await drain(server, connections, timeoutMs);
      clearInterval(sweep);
    },
  };
}

// One frame for all of it: each async function and each await costs every request about 2 µs.
async function handle(exchange: Exchange, options: ServerOptions): Promise<void> {
  try {
    if (options.serveProbe(exchange)) return;
    let finished: Finished;
    try {
      finished = { kind: 'settled', inbound: exchange, settled: await serve(exchange, options.stages) };
    } catch (thrown) {
      const relayed = refuse(toGatewayError(thrown), exchange, dialectOf(pathOf(exchange.target)));
      finished = { kind: 'refused', inbound: exchange, relayed };
    }
    inTurn('record', () => writeDown(finished, options));
  } catch (thrown) {
    exchange.cut(); // our bug, and nobody above to tell; one request must not take the others with it
    options.recordBadRequest(toGatewayError(thrown));
  }
}

function writeDown(finished: Finished, options: ServerOptions): void {
  try {
    options.record(finished);
  } catch (thrown) {
    options.recordBadRequest(toGatewayError(thrown)); // our bug again
  }
}

function listen(server: Server, address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...parseListen(address), backlog }, () => {
      const bound = server.address();
      if (typeof bound !== 'object' || bound === null) return resolve(address);
      const host = bound.address === '::' || bound.address === '0.0.0.0' ? '127.0.0.1' : bound.address;
      resolve(`http://${host.includes(':') ? `[${host}]` : host}:${bound.port}`);
    });
  });
}

async function drain(server: Server, connections: ReadonlySet<Connection>, timeoutMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const connection of connections) if (connection.isIdle) connection.socket.destroySoon();
  const silence = setTimeout(() => {
    for (const connection of connections) if (connection.isSilent) connection.socket.destroy();
  }, silentGraceMs);
  const deadline = setTimeout(() => {
    for (const { exchange } of connections) exchange?.interrupt();
    setTimeout(() => {
      for (const { socket } of connections) socket.destroy();
    }, lastWordsMs).unref();
  }, timeoutMs);
  await closed;
  await turnEnded(); // what ended last is written down
  clearTimeout(silence);
  clearTimeout(deadline);
}
