import type { Destination } from './plan.ts';

/** Bytes of the JSON body of every request. */
const requestBodyBytes = 1024;

function chatBody(model: string, stream: boolean): string {
  const body = (content: string): string =>
    JSON.stringify({
      model,
      messages: [
        { role: 'system', content: 'You answer briefly.' },
        { role: 'user', content },
      ],
      temperature: 0.7,
      max_tokens: 256,
      ...(stream ? { stream: true } : {}),
    });
  return body('z'.repeat(requestBodyBytes - body('').length));
}

/** The bytes of one chat request of 1 KB, head and body. */
export function chatRequest(to: Destination, model: string, stream: boolean): Buffer {
  const body = chatBody(model, stream);
  const headers = {
    host: `127.0.0.1:${to.port}`,
    'user-agent': 'llmproxy-bench',
    accept: stream ? 'text/event-stream' : 'application/json',
    'content-type': 'application/json',
    ...to.headers,
    'content-length': String(body.length),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`POST /v1/chat/completions HTTP/1.1\r\n${lines.join('')}\r\n${body}`, 'latin1');
}
