import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { errorTable, GatewayError, renderError, renderStreamError, toGatewayError } from './index.ts';

const page = readFileSync(new URL('../../../docs/reference/errors.md', import.meta.url), 'utf8');

/** Rows of the page as the table would spell them. */
function documented() {
  const rows = page.matchAll(
    /^\| `(\w+)` \| (\d+)(?: \(Anthropic (\d+)\))? \| `(\w+)` \| `(\w+)` \| (\w+) \|/gm,
  );
  return Object.fromEntries(
    [...rows].map(([, code, status, anthropicStatus, openai, anthropic, blame]) => [
      code,
      {
        status: Number(status),
        openai,
        anthropic,
        blame,
        ...(anthropicStatus ? { anthropicStatus: Number(anthropicStatus) } : {}),
      },
    ]),
  );
}

test('the reference page lists exactly the errors that exist', () => {
  expect(documented()).toEqual(errorTable);
});

test('an OpenAI client finds all four members of the error object', () => {
  const { status, body } = renderError(new GatewayError('unknown_route', 'No such path.'), 'openai', 'r1');
  expect(status).toBe(404);
  expect(JSON.parse(body)).toEqual({
    error: { message: 'No such path.', type: 'invalid_request_error', param: null, code: 'unknown_route' },
  });
});

test('an Anthropic client finds the error type, the request id in body and header, and 529 for overload', () => {
  const { status, body, headers } = renderError(new GatewayError('no_backend', 'None.'), 'anthropic', 'r1');
  expect(status).toBe(529);
  expect(headers).toContain('request-id');
  expect(JSON.parse(body)).toEqual({
    type: 'error',
    error: { type: 'overloaded_error', message: 'None.' },
    request_id: 'r1',
  });
});

test('a stream that breaks is told so in its own dialect', () => {
  const error = new GatewayError('backend_unreachable', 'Gone.');
  expect(renderStreamError(error, 'openai', 'r')).toMatch(/^data: \{"error":.*\}\n\n$/);
  expect(renderStreamError(error, 'anthropic', 'r')).toMatch(
    /^event: error\ndata: \{"type":"error".*\}\n\n$/,
  );
});

test('a bug of ours shows the client nothing of its cause', () => {
  const error = toGatewayError(new Error('password=hunter2'));
  expect(renderError(error, 'openai', 'r').body).not.toContain('hunter2');
  expect(error.cause).toBeInstanceOf(Error);
});

test('an operator may choose the status of a refusal; its type and code stay', () => {
  const error = new GatewayError('key_not_active', 'Top up.', { status: 402 });
  const { status, body } = renderError(error, 'anthropic', 'r1');
  expect([status, (JSON.parse(body) as { error: unknown }).error]).toEqual([
    402,
    { type: 'permission_error', message: 'Top up.' },
  ]);
});
