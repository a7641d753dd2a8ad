/** What the specs of all engines write, and where. */
import type { UsageEvent } from '@llmproxy/usage-queue';
import { randomUUID } from 'node:crypto';

export const usageEvent = (fields: Partial<UsageEvent> = {}): UsageEvent => ({
  event_id: randomUUID(),
  request_id: 'req-1',
  timestamp: '2026-02-03T04:05:06.789Z',
  key_id: 'k1',
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
  latency_ms: 12,
  ttft_ms: 3.25,
  usage: { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 },
  usage_source: 'backend',
  ...fields,
});

export const freshTable = () => `usage_${randomUUID().replaceAll('-', '')}`;
