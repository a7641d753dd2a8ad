import { expect, test } from 'vitest';
import { backendError, nothingWasSent, NothingSent } from './failure.ts';

const failure = (code: string) => Object.assign(new Error('10.0.0.5:8001 secret'), { code });

test.each(['ECONNRESET', 'EPIPE', 'ECONNREFUSED', 'UND_ERR_SOCKET', 'BACKEND_HEAD_TIMEOUT', ''])(
  'a failure of which it is not known that nothing was sent is not tried elsewhere: %j',
  (code) => {
    expect(nothingWasSent(failure(code))).toBe(false);
    expect(nothingWasSent(new NothingSent(failure(code)))).toBe(true);
  },
);

test.each([undefined, null, 'ECONNREFUSED', { code: 7 }])('what is no error says nothing: %j', (cause) => {
  expect(nothingWasSent(cause)).toBe(false);
  expect(backendError(cause, 'vllm').message).toBe('Backend vllm broke off its answer.');
});

test.each([
  ['BACKEND_CONNECT_TIMEOUT', 504, 'Backend vllm did not accept a connection in time.'],
  ['ECONNREFUSED', 502, 'Backend vllm could not be reached.'],
  ['ENOTFOUND', 502, 'Backend vllm could not be reached.'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 502, 'could not be reached: its TLS certificate is not trusted.'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 502, 'could not be reached: its TLS certificate is not trusted.'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 502, 'could not be reached: its TLS certificate is not trusted.'],
  ['CERT_HAS_EXPIRED', 502, 'could not be reached: its TLS certificate is not trusted.'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 502, 'could not be reached: its TLS certificate is not trusted.'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 502, 'could not be reached: it does not speak TLS as we do.'],
])('before anything was sent, %s is told as %i', (code, status, message) => {
  const error = backendError(new NothingSent(failure(code)), 'vllm');
  expect([error.row.status, error.message]).toEqual([status, expect.stringContaining(message)]);
});

test.each([
  ['BACKEND_HEAD_TIMEOUT', 504, 'Backend vllm did not answer in time.'],
  ['BACKEND_SILENT', 504, 'Backend vllm fell silent in the middle of its answer.'],
  ['ECONNRESET', 502, 'Backend vllm broke off its answer.'],
  ['HPE_INVALID_CONSTANT', 502, 'Backend vllm broke off its answer.'],
])('after the request was sent, %s is told as %i', (code, status, message) => {
  const error = backendError(failure(code), 'vllm');
  expect([error.row.status, error.message]).toEqual([status, message]);
});

test('the cause is kept for the log and not told to the client', () => {
  const cause = failure('ECONNREFUSED');
  const error = backendError(new NothingSent(cause), 'vllm');
  expect(error.cause).toBe(cause);
  expect(error.message).not.toContain('secret');
});
