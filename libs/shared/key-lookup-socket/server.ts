/** The end of the process that holds the SQL connections. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { makeWayForSocket } from '@llmproxy/telemetry';
import {
  LookupRequest,
  lookupPath,
  requestBytesMax,
  type FoundKey,
  type LookupAnswer,
  type LookupRefusal,
} from './contract.ts';

export interface ServeKeyLookups {
  /** A path of less than 104 bytes; a socket that nobody answers on is replaced. */
  socketPath: string;
  /** Names of the providers that `find` knows. */
  providers: ReadonlySet<string>;
  /** The row of a key. What it rejects with is told to the gateway, so the message must be free of secrets. */
  find(provider: string, key: string): Promise<FoundKey | undefined>;
}

export interface KeyLookupServer {
  /** Takes no more lookups and finishes those under way, at most `deadlineMs`. */
  close(deadlineMs: number): Promise<void>;
}

/** The least of the systems we run on. */
const pathBytesMax = 103;

/**
 * Answers lookups on a unix socket that only this user may open.
 * @throws Error when another process answers there already, or the path cannot be listened on
 */
export async function serveKeyLookups(options: ServeKeyLookups): Promise<KeyLookupServer> {
  if (Buffer.byteLength(options.socketPath) > pathBytesMax) {
    throw new Error(
      `${options.socketPath} is too long for a socket (${pathBytesMax} bytes); set a shorter auth.lookup.listen`,
    );
  }
  await makeWayForSocket(options.socketPath);
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    response.once('finish', () => {
      if (!server.listening) request.socket.end(); // told to stop: the connection asks nothing more
    });
    void answer(request, response, options);
  });
  await listenPrivately(server, options.socketPath);
  return {
    close: (deadlineMs) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => server.closeAllConnections(), deadlineMs);
        server.close(() => {
          clearTimeout(timer);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

/** The mask rather than chmod afterwards: there is no moment in which others could connect. */
async function listenPrivately(server: Server, socketPath: string): Promise<void> {
  const mask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ path: socketPath }, resolve);
      process.umask(mask); // bound by now: listening on a path happens within the call
    });
  } finally {
    process.umask(mask);
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: ServeKeyLookups,
): Promise<void> {
  if (request.method !== 'POST' || request.url !== lookupPath) {
    request.resume();
    return send(response, 404, { error: `only POST ${lookupPath} is answered here` });
  }
  const question = await read(request);
  if (question === undefined) return send(response, 400, { error: 'the question cannot be read' });
  const { provider, key } = question;
  if (!options.providers.has(provider)) {
    return send(response, 404, { error: `no database provider is called ${provider} in the config` });
  }
  try {
    send(response, 200, { found: (await options.find(provider, key)) ?? null });
  } catch (cause) {
    send(response, 503, { error: cause instanceof Error ? cause.message : 'failed' });
  }
}

async function read(request: IncomingMessage): Promise<LookupRequest | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > requestBytesMax) return undefined;
      chunks.push(chunk);
    }
    return LookupRequest.safeParse(JSON.parse(Buffer.concat(chunks).toString('utf8'))).data;
  } catch {
    return undefined; // cut off, or not JSON
  }
}

function send(response: ServerResponse, status: number, content: LookupAnswer | LookupRefusal): void {
  const body = JSON.stringify(content);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}
