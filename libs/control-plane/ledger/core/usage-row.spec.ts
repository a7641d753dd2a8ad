import { expect, test } from 'vitest';
import { usageEvent } from '../spec-usage-event.ts';
import { usageRow } from './usage-row.ts';

const event = usageEvent({
  event_id: '0192f0c1-0000-7000-8000-000000000001',
  key_id: 'ab'.repeat(16),
  latency_ms: 12.7,
  usage: { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12, cached_tokens: 2 },
});

test('an event becomes one row with its token counts in columns', () => {
  expect(usageRow(event)).toEqual({
    event_id: '0192f0c1-0000-7000-8000-000000000001',
    request_id: 'req-1',
    timestamp: '2026-02-03T04:05:06.789Z',
    key_id: 'abababababababababababababababab',
    api_key: 'sk-a…wxyz',
    user_id: 'ann',
    model: 'llama-3',
    method: 'POST',
    path: '/v1/chat/completions',
    endpoint: 'chat.completions',
    is_stream: true,
    backend: 'gpu-1',
    backend_url: 'http://gpu-1:8000',
    status_code: 200,
    outcome: 'completed',
    latency_ms: 13,
    ttft_ms: 3.25,
    prompt_tokens: 5,
    completion_tokens: 7,
    total_tokens: 12,
    cached_tokens: 2,
    cache_write_tokens: null,
    reasoning_tokens: null,
    usage_source: 'backend',
    request_body: null,
  });
});

test('unknown usage is null in every token column, not 0', () => {
  const row = usageRow({ ...event, usage: null, usage_source: 'none' });
  expect([row.prompt_tokens, row.completion_tokens, row.total_tokens, row.cached_tokens]).toEqual([
    null,
    null,
    null,
    null,
  ]);
});

test('a model name that no column can hold is clipped and cleaned, so that its batch is not refused', () => {
  expect(usageRow({ ...event, model: `a\0b\ud800${'😀'.repeat(300)}` }).model).toBe(
    `a\ufffdb\ufffd${'😀'.repeat(252)}`,
  );
});

test.each([
  [{ text: 'a\0b' }, '{"text":"a\\ufffdb"}'],
  [{ text: '\0\0' }, '{"text":"\\ufffd\\ufffd"}'],
  [{ text: '\ud800' }, '{"text":"\\ufffd"}'],
  [{ text: '\\u0000' }, '{"text":"\\\\u0000"}'],
  [{ text: '\\\0' }, '{"text":"\\\\\\ufffd"}'],
  [{ text: '😀' }, '{"text":"😀"}'],
])('a request body %j is stored as JSON that every engine takes', (body, text) => {
  expect(usageRow({ ...event, request_body: body }).request_body).toBe(text);
});
