import { GatewayError } from '@llmproxy/errors';
import { expect, test } from 'vitest';
import { pathOf } from '@llmproxy/exchange';
import { createRouter, dialectOf } from './route.ts';

const route = createRouter();

function refusal(method: string, target: string): GatewayError {
  try {
    route({ method, target });
  } catch (error) {
    if (error instanceof GatewayError) return error;
  }
  throw new Error(`${method} ${target} was not refused`);
}

test.each([
  ['POST', '/v1/chat/completions', 'chat.completions', 'openai', true],
  ['POST', '/v1/chat/completions?beta=1', 'chat.completions', 'openai', true],
  ['POST', '/v1/completions', 'completions', 'openai', true],
  ['POST', '/v1/embeddings', 'embeddings', 'openai', true],
  ['POST', '/v1/responses', 'responses', 'openai', true],
  ['POST', '/v1/messages', 'messages', 'anthropic', true],
  ['POST', '/v1/messages/count_tokens', 'other', 'anthropic', false],
  ['GET', '/v1/models', 'models', 'openai', false],
  ['GET', '/v1/models/llama-3', 'models', 'openai', false],
  ['POST', '/v1/audio/transcriptions', 'other', 'openai', false],
  ['GET', '/v1/responses/resp_1', 'other', 'openai', false],
  ['DELETE', '/v1/files/f1', 'other', 'openai', false],
  ['POST', 'http://gateway:8000/v1/messages', 'messages', 'anthropic', true],
])('%s %s is %s', (method, target, ...[endpoint, dialect, readsBody]) => {
  expect(route({ method, target })).toMatchObject({ endpoint, dialect, readsBody });
});

test.each(['/', '/v1', '/v1/', '/admin', '/v2/chat/completions', '/V1/models', ''])(
  '%j is unknown',
  (target) => {
    expect(refusal('GET', target).code).toBe('unknown_route');
  },
);

test('a wrong method is refused with the right ones in `allow`', () => {
  const error = refusal('GET', '/v1/chat/completions');
  expect(error.code).toBe('method_not_allowed');
  expect(error.headers).toEqual({ allow: 'POST' });
});

test.each([
  '/v1/../metrics',
  '/v1/%2e%2e/admin',
  '/v1/a/..',
  '/v1/..%2fadmin',
  '/v1/.%2E\\x',
  '/v1/./models',
])('a backend cannot be reached outside /v1/ by %s', (target) => {
  expect(refusal('POST', target).code).toBe('invalid_request');
});

test.each(['/v1/files/a..b', '/v1/models/gpt-4.1', '/v1/x/...', '/v1/files/.hidden'])(
  '%s is an ordinary path',
  (target) => {
    expect(() => route({ method: 'GET', target })).not.toThrow();
  },
);

test('the dialect is known for paths that do not exist', () => {
  expect(dialectOf(pathOf('/v1/messages/nope?x=1'))).toBe('anthropic');
  expect(dialectOf(pathOf('/nope'))).toBe('openai');
});
