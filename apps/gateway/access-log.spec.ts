import type { LogDestination } from '@llmproxy/telemetry';
import { expect, test } from 'vitest';
import { createAccessLog, type AccessEntry } from './access-log.ts';

const entry: AccessEntry = {
  time: '2026-02-03T04:05:06.789Z',
  request_id: 'req-1',
  client_ip: '10.0.0.1',
  method: 'POST',
  path: '/v1/chat/completions',
  status: 200,
  outcome: 'completed',
  error: null,
  latency_ms: 12.4,
  ttft_ms: 3,
  bytes: 600,
  backend: 'gpu-1',
  backend_url: 'http://gpu-1:8000',
  model: 'llama-3',
  is_stream: true,
  key_id: 'k1',
  api_key: null,
  user_id: 'ann',
  shadow_refused: null,
  prompt_tokens: 1,
  completion_tokens: 2,
};

function combinedLine(change: Partial<AccessEntry>): string {
  let written = '';
  const destination: LogDestination = {
    write: (text) => void (written += text),
    flushSync: () => undefined,
    reopen: () => undefined,
  };
  const log = createAccessLog(destination, 'combined');
  log({ ...entry, ...change });
  return written;
}

test('a line of text is the documented one', () => {
  expect(combinedLine({})).toBe(
    '10.0.0.1 - ann [03/Feb/2026:04:05:06 +0000] "POST /v1/chat/completions" 200 12ms "http://gpu-1:8000" ' +
      'model=llama-3 stream=true\n',
  );
  const refused = { status: 401, error: 'invalid_api_key', backend_url: null, model: null, user_id: null };
  expect(combinedLine({ ...refused, is_stream: false })).toBe(
    '10.0.0.1 - - [03/Feb/2026:04:05:06 +0000] "POST /v1/chat/completions" 401 12ms "-" ' +
      'model=- stream=false error="invalid_api_key"\n',
  );
});

test.each([
  ['a blank', 'm stream=true', String.raw`m\u0020stream=true`],
  ['a blank of another script', 'm\u00a0\u3000x', String.raw`m\u00a0\u3000x`],
  ['a line break', 'm\r\nx', String.raw`m\r\nx`],
  ['a line separator', 'm\u2028\u2029x', String.raw`m\u2028\u2029x`],
  ['a C1 control, which some terminals obey', 'm\u009b2J\u007f\u0085', String.raw`m\u009b2J\u007f\u0085`],
  ['a quote', 'm"x', String.raw`m\"x`],
])('%s in the name of a model stays inside its field', (_, model, shown) => {
  expect(combinedLine({ model })).toContain(` model=${shown} stream=true\n`);
});

test('a path keeps its blanks and no control characters', () => {
  expect(combinedLine({ path: '/a b\u0085\u009b\u2028' })).toContain(
    String.raw`"POST /a b\u0085\u009b\u2028" 200`,
  );
});
