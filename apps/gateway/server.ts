/** The HTTP edge: node:http in, one `serve` per request, and the one place that renders errors and records outcomes. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { GatewayError, renderError, toGatewayError } from '@llmproxy/errors';
import { refuse, type Relayed } from '@llmproxy/forwarding';
import { dialectOf, pathOf } from '@llmproxy/routing';
import { parseListen } from '@llmproxy/telemetry';
import { HttpInbound } from './http-inbound.ts';
import { serve, type Settled, type Stages } from './pipeline.ts';

export interface ServerSettings {
  readTimeoutMs: number;
  idleTimeoutMs: number;
  headerBytesMax: number;
}

/** What became of one request, for the access log, the metrics and the usage event. */
export type Finished =
  | { kind: 'settled'; inbound: HttpInbound; settled: Settled }
  | { kind: 'refused'; inbound: HttpInbound; relayed: Relayed };

export interface ServerOptions {
  settings: ServerSettings;
  stages: Stages;
  /** Probes and metrics of the main listener; true when it has taken the request. */
  serveProbe(request: IncomingMessage, response: ServerResponse): boolean;
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

// The parser's own limit answers without knowing the path; ours, below it, answers in the path's dialect.
const parserSlackBytes = 64 * 1024;
const sweepMsMax = 1_000;
const lingerMs = 2_000;

export function createGatewayServer(options: ServerOptions): GatewayServer {
  const open = new Set<HttpInbound>();
  const state = { draining: false };
  const isClosing = () => state.draining;
  const handle = async (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) => {
    if (options.serveProbe(request, response)) return;
    const inbound = new HttpInbound(request, response, { isClosing, expectsContinue });
    open.add(inbound);
    try {
      options.record(await outcomeOf(inbound, options));
    } catch (thrown) {
      response.destroy(); // our bug, and nobody above to tell; one request must not take the others with it
      options.recordBadRequest(toGatewayError(thrown));
    } finally {
      open.delete(inbound);
    }
  };
  const server = createServer(
    {
      maxHeaderSize: options.settings.headerBytesMax + parserSlackBytes,
      requestTimeout: options.settings.readTimeoutMs,
      headersTimeout: options.settings.readTimeoutMs,
      connectionsCheckingInterval: Math.min(options.settings.readTimeoutMs || sweepMsMax, sweepMsMax),
      keepAliveTimeout: options.settings.idleTimeoutMs,
      noDelay: true,
      requireHostHeader: false,
    },
    (request, response) => void handle(request, response, false),
  );
  const sockets = openSockets(server);
  server.on('checkContinue', (request, response) => void handle(request, response, true));
  // An expectation that we do not know is ignored, as the RFC allows; node would answer 417 without a word.
  server.on('checkExpectation', (request, response) => void handle(request, response, false));
  server.on('clientError', (error: ClientError, socket: Socket) => {
    const answered = answerBadRequest(error, socket, open);
    if (answered) options.recordBadRequest(answered);
  });
  return {
    get draining() {
      return state.draining;
    },
    listen: (address) => listen(server, address),
    drain: async (timeoutMs) => {
      state.draining = true;
      await drain(server, sockets, open, timeoutMs);
    },
  };
}

async function outcomeOf(inbound: HttpInbound, { stages, settings }: ServerOptions): Promise<Finished> {
  try {
    refuseLargeHead(inbound, settings.headerBytesMax);
    return { kind: 'settled', inbound, settled: await serve(inbound, stages) };
  } catch (thrown) {
    const relayed = refuse(toGatewayError(thrown), inbound, dialectOf(pathOf(inbound.target)));
    return { kind: 'refused', inbound, relayed };
  }
}

function refuseLargeHead(inbound: HttpInbound, bytesMax: number): void {
  let bytes = inbound.target.length;
  for (const part of inbound.rawHeaders) bytes += part.length + 2;
  if (bytes <= bytesMax) return;
  throw new GatewayError(
    'headers_too_large',
    `The request head is over the limit of ${bytesMax} bytes (server.max_header_bytes).`,
  );
}

function listen(server: Server, address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...parseListen(address), backlog: 4096 }, () => {
      const bound = server.address();
      if (typeof bound !== 'object' || bound === null) return resolve(address);
      const host = bound.address === '::' || bound.address === '0.0.0.0' ? '127.0.0.1' : bound.address;
      resolve(`http://${host.includes(':') ? `[${host}]` : host}:${bound.port}`);
    });
  });
}

/** The connections there are, at any moment. */
function openSockets(server: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return sockets;
}

// Long enough for a request that was on its way when the drain began.
const silentGraceMs = 500;

async function drain(
  server: Server,
  sockets: ReadonlySet<Socket>,
  open: ReadonlySet<HttpInbound>,
  timeoutMs: number,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const sweep = setInterval(() => server.closeIdleConnections(), 100);
  // A connection opened ahead of its first request is not idle to node: it would hold up the drain to its deadline.
  const silence = setTimeout(() => {
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
  }, silentGraceMs);
  const deadline = setTimeout(() => {
    for (const inbound of open) inbound.interrupt();
    setTimeout(() => server.closeAllConnections(), 1_000).unref();
  }, timeoutMs);
  await closed;
  clearInterval(sweep);
  clearTimeout(silence);
  clearTimeout(deadline);
}

type ClientError = NodeJS.ErrnoException & { rawPacket?: Buffer };

/** Tells a connection what is wrong with its bytes; returns the refusal when no request stands for it. */
function answerBadRequest(
  error: ClientError,
  socket: Socket,
  open: ReadonlySet<HttpInbound>,
): GatewayError | undefined {
  if (socket.writableEnded) return undefined; // told already; the rest is read and dropped, or it would not read
  const refusal = notHttp(error);
  const inbound = [...open].find((candidate) => candidate.socket === socket);
  if (refusal && socket.writable && !inbound) {
    socket.end(wholeAnswer(refusal, error.rawPacket));
    socket.setTimeout(lingerMs);
    return refusal;
  }
  // No answer fits into the middle of another: then the end of the connection has to do.
  if (!refusal || !socket.writable || !inbound?.refuseBody(refusal)) socket.destroy();
  return undefined;
}

/** The refusal for bytes that are no acceptable request; undefined when the connection simply broke. */
function notHttp(error: NodeJS.ErrnoException): GatewayError | undefined {
  switch (error.code) {
    case 'HPE_INVALID_EOF_STATE': // it ended in the middle of a request
      return undefined;
    case 'HPE_HEADER_OVERFLOW':
      return new GatewayError(
        'headers_too_large',
        'The request head is too large (server.max_header_bytes).',
      );
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new GatewayError('request_timeout', 'The request did not arrive in time (server.read_timeout).');
    case 'HPE_UNEXPECTED_CONTENT_LENGTH':
    case 'HPE_INVALID_CONTENT_LENGTH':
      return new GatewayError(
        'invalid_request',
        'The request has more than one Content-Length, one that is no number, or one beside Transfer-Encoding.',
      );
    default:
      return error.code?.startsWith('HPE_')
        ? new GatewayError('invalid_request', 'The request is not valid HTTP/1.1.')
        : undefined;
  }
}

function wholeAnswer(refusal: GatewayError, rawPacket: Buffer | undefined): string {
  const target = /^[A-Z]+ (\S+)/.exec(rawPacket?.subarray(0, 2048).toString('latin1') ?? '')?.[1] ?? '/';
  const { status, headers, body } = renderError(refusal, dialectOf(pathOf(target)), crypto.randomUUID());
  const lines = [`HTTP/1.1 ${status} ${refusal.code}`];
  for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`);
  return `${lines.join('\r\n')}\r\nconnection: close\r\n\r\n${body}`;
}
