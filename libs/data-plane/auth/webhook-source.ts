/**
 * Keys that an HTTP service knows. Only a 2xx answer whose body is a JSON object, and says so, lets anyone in:
 * 401 and 404 mean "unknown", 402 "used up", 403 "refused"; anything else is no answer.
 */
import { openAgent, type AgentOptions } from '@llmproxy/client-login';
import { request as send } from 'undici';
import { fieldOf, isObject, textFrom, type KeyData } from './core/key-fields.ts';
import type { AuthRequest, KeySource } from './key-source.ts';

export interface WebhookSourceOptions extends Pick<AgentOptions, 'tls' | 'tell'> {
  /** `http://` or `https://`. */
  readonly url: string;
  /** Default POST. */
  readonly method?: 'POST' | 'PUT' | undefined;
  /** Sent with each question. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** A hook judges the answer, so it need not say `status` or `allow`. */
  readonly judgedByHook: boolean;
}

const connectionsMax = 64;
const answerBytesMax = 1024 * 1024;

/** @throws Error when the URL is none, or the certificates cannot be read */
export function webhookSource(options: WebhookSourceOptions): KeySource & { close(): Promise<void> } {
  const url = new URL(options.url);
  const dispatcher = openAgent({ connections: connectionsMax, tls: options.tls, tell: options.tell });
  const headers = {
    'user-agent': 'llmproxy',
    accept: 'application/json',
    ...lowerCased(options.headers ?? {}),
    'content-type': 'application/json',
  };
  return {
    async lookup(request, signal) {
      const body = questionFor(request);
      const method = options.method ?? 'POST';
      const answer = await send(url, { dispatcher, method, headers, body, signal });
      const text = await textOf(answer.body);
      return understood(answer.statusCode, text, options.judgedByHook);
    },
    close: () => dispatcher.close(),
  };
}

function questionFor({ secret, method, path, ip }: AuthRequest): string {
  const timestamp = Math.floor(Date.now() / 1000);
  return JSON.stringify({ api_key: secret, timestamp, request: { method, path, ip } });
}

async function textOf(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) throw new Error(`the answer is longer than ${answerBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function understood(status: number, text: string, judgedByHook: boolean): KeyData | undefined {
  switch (status) {
    case 401:
    case 404:
      return undefined;
    case 402:
      return { status: 'quota_exceeded', _http_status: status };
    case 403:
      return { allow: false, message: refusalIn(text), _http_status: status };
    default:
      if (status < 200 || status > 299) throw new Error(`answered ${status}`);
      return { ...checked(jsonFrom(text), judgedByHook), _http_status: status };
  }
}

function checked(data: unknown, judgedByHook: boolean): KeyData {
  if (!isObject(data)) throw new Error('answered without a JSON object');
  // An error that is told with status 200 must not let everybody in.
  if (!judgedByHook && fieldOf(data, 'status') === undefined && data.allow === undefined) {
    throw new Error('answered without `status` or `allow`');
  }
  return data;
}

function refusalIn(text: string): string | null {
  const data = jsonFrom(text);
  return isObject(data) ? textFrom(data.message) : null;
}

/** Undefined for what is no JSON; the parser's own message would quote the answer. */
function jsonFrom(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const lowerCased = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
