/** Requests written by hand, and how the gateway must word what it refuses. */
import { expect } from 'vitest';
import { testKey } from './gateway.ts';
import type { RawAnswer } from './raw-http.ts';

/** The paths of the two dialects, and what their errors are called. */
export const dialects = [
  ['OpenAI', '/v1/chat/completions'],
  ['Anthropic', '/v1/messages'],
] as const;
export type Dialect = (typeof dialects)[number][0];

const openaiTypes: Record<number, string> = {
  401: 'authentication_error',
  408: 'timeout_error',
  502: 'upstream_error',
  503: 'server_error',
};
const anthropicTypes: Record<number, string> = {
  401: 'authentication_error',
  404: 'not_found_error',
  408: 'timeout_error',
  413: 'request_too_large',
  431: 'request_too_large',
  502: 'api_error',
  529: 'overloaded_error',
};

export interface Refusal {
  dialect: Dialect;
  status: number;
  code: string;
}

export function expectRefusal(
  { status, headers, body }: Pick<RawAnswer, 'status' | 'headers' | 'body'>,
  refusal: Refusal,
): void {
  const parsed = JSON.parse(body) as { error: { message: string }; request_id?: string };
  const message = expect.stringMatching(/\w+ \w+/) as string;
  expect({ status, type: headers['content-type'], body: parsed }).toEqual({
    status: refusal.status,
    type: 'application/json; charset=utf-8',
    body:
      refusal.dialect === 'OpenAI'
        ? {
            error: {
              message,
              type: openaiTypes[refusal.status] ?? 'invalid_request_error',
              param: null,
              code: refusal.code,
            },
          }
        : {
            type: 'error',
            error: { type: anthropicTypes[refusal.status] ?? 'invalid_request_error', message },
            request_id: headers['x-request-id'],
          },
  });
  expect(headers['x-request-id']).toMatch(/^[A-Za-z0-9._-]{1,128}$/);
  if (refusal.dialect === 'Anthropic') expect(headers['request-id']).toBe(headers['x-request-id']);
}

/** A request as text, with the test key. */
export const raw = (method: string, target: string, lines: readonly string[] = [], body = ''): string =>
  [
    `${method} ${target} HTTP/1.1`,
    'Host: gateway',
    `Authorization: Bearer ${testKey}`,
    ...lines,
    '',
    body,
  ].join('\r\n');

export const withBody = (target: string, body: string): string =>
  raw('POST', target, [`Content-Length: ${Buffer.byteLength(body)}`, 'Content-Type: application/json'], body);
