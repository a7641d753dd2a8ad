/** The HTTP side: finds the handler of a path, writes its reply at the pace of a model, errors in the path's dialect. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { countMessageTokens, message } from './anthropic-messages.ts';
import { chatCompletion } from './openai-chat.ts';
import { response as openaiResponse } from './openai-responses.ts';
import { embedding, model, models, textCompletion } from './openai-text.ts';
import { isObject, newId, Refusal, type Body, type Frame, type Reply } from './reply.ts';

const posts: Readonly<Record<string, (body: Body) => Reply>> = {
  '/v1/chat/completions': chatCompletion,
  '/v1/completions': textCompletion,
  '/v1/embeddings': embedding,
  '/v1/responses': openaiResponse,
  '/v1/messages': message,
  '/v1/messages/count_tokens': countMessageTokens,
};

const bodyBytesMax = 64 * 1024 * 1024;

/** @param paceMs how long each token of a stream takes, in ms */
export function createDemoServer(paceMs: number): Server {
  return createServer((request, response) => {
    serve(request, response, paceMs).catch((error: unknown) => {
      if (response.destroyed) return; // the client has gone
      if (response.headersSent) response.destroy();
      else refuse(response, request.url ?? '', error);
    });
  });
}

async function serve(request: IncomingMessage, response: ServerResponse, paceMs: number): Promise<void> {
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
  const reply = await replyTo(request, path);
  if (reply.kind === 'json') {
    sendJson(response, 200, reply.value);
    return;
  }
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
    'x-request-id': newId('req_'),
  });
  await sendStream(response, reply.frames, paceMs);
}

async function replyTo(request: IncomingMessage, path: string): Promise<Reply> {
  const post = Object.hasOwn(posts, path) ? posts[path] : undefined;
  if (post) {
    if (request.method !== 'POST') throw new Refusal(405, `use POST for ${path}`);
    return post(await jsonBody(request));
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') throw new Refusal(404, 'unknown path');
  if (path === '/health') return { kind: 'json', value: { status: 'ok' } };
  if (path === '/v1/models') return models();
  if (path.startsWith('/v1/models/')) return model(path.slice('/v1/models/'.length));
  throw new Refusal(404, 'unknown path');
}

async function jsonBody(request: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) throw new Refusal(413, 'the body is too large');
    chunks.push(chunk);
  }
  let body: unknown;
  try {
    body = JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new Refusal(400, 'the body is not valid JSON');
  }
  if (!isObject(body)) throw new Refusal(400, 'the body must be a JSON object');
  return body;
}

async function sendStream(response: ServerResponse, frames: readonly Frame[], paceMs: number): Promise<void> {
  for (const { text, isToken } of frames) {
    if (isToken && paceMs > 0) await delay(paceMs);
    if (response.destroyed) return;
    if (!response.write(text)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
  }
  response.end();
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'x-request-id': newId('req_'),
  });
  response.end(body);
}

const openaiTypes: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  429: 'rate_limit_error',
};
const anthropicTypes: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  529: 'overloaded_error',
};

function refuse(response: ServerResponse, target: string, error: unknown): void {
  const status = error instanceof Refusal ? error.status : 500;
  const said = error instanceof Refusal ? error.message : 'the demo backend has a bug';
  const isServers = status >= 500;
  if (target.startsWith('/v1/messages')) {
    const type = anthropicTypes[status] ?? (isServers ? 'api_error' : 'invalid_request_error');
    sendJson(response, status, { type: 'error', error: { type, message: said }, request_id: newId('req_') });
    return;
  }
  const type = openaiTypes[status] ?? (isServers ? 'server_error' : 'invalid_request_error');
  const code = status === 429 ? 'rate_limit_exceeded' : null;
  sendJson(response, status, { error: { message: said, type, param: null, code } });
}
